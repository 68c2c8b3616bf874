"""Cases and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

CASES_MAX: Final = 500
"""Of a tenant, and so of a run."""
EXPECTED: Final = ("violated", "satisfied", "not_applicable", "inconclusive")
ERROR: Final = "error"
"""In place of a verdict: the case could not be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule has to say of a sample.

    sample: its id, of the library or the tenant's own; sample_name as it is called now. last: what
    came of it in the newest run of it, None before the first.
    """

    id: str
    rule_id: str
    name: str
    sample: str
    sample_name: str
    expect: str
    created_by: str
    created_at: datetime
    last: LastResult | None = None


@dataclass(frozen=True, slots=True)
class LastResult:
    """What came of a case the last time. rule_version: None for a draft."""

    at: datetime
    run_id: str
    rule_version: int | None
    verdict: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case in a run.

    rule_version: None for a draft. text_hash: SHA-256 of the text that was judged, in hex. verdict:
    `rejected` where the text does not check, `error` where the case could not be judged.
    explanation: of a failure: as trials tell it, or `problems`, or `error`.
    """

    case_id: str
    case_name: str
    rule_id: str
    rule_version: int | None
    text_hash: str
    sample: str
    expect: str
    verdict: str
    passed: bool
    explanation: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of cases. rule_id: of all of them, empty: of every rule. draft: of a text not saved.

    digest: SHA-256 of the results in hex. results: None where a list does not tell them.
    """

    id: str
    at: datetime
    actor: str
    acting: str
    rule_id: str
    draft: bool
    case_count: int
    passed_count: int
    duration_ms: int
    digest: str
    results: Sequence[Result] | None = None

    @property
    def failed_count(self) -> int:
        """How many cases did not pass."""
        return self.case_count - self.passed_count

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.passed_count == self.case_count


@dataclass(frozen=True, slots=True)
class RunPage:
    """One page of runs, newest first."""

    items: tuple[Run, ...]
    next_cursor: str | None
