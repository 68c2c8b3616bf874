"""A sample trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

Entry: TypeAlias = Mapping[str, Any]
"""One span, as an entry of `trace:` in the tests of rules."""
MAX_SPANS: Final = 2_000
MAX_TRACES: Final = 20
MAX_SAMPLES: Final = 500
"""Of a tenant."""
NAME_MAX: Final = 255
DESCRIPTION_MAX: Final = 4_000
TAGS_MAX: Final = 20
TAG_MAX: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A trace, or some that belong together, to try rules on.

    id: of the library a name in words, of a tenant's own a UUID. rule, expect: a rule that says
    something of it and what it says; empty where nobody said. created_by: who took it in, empty for
    the library. spans: None where a list does not tell them. redaction_version: of the policy it
    was last redacted by.
    """

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    span_count: int
    trace_count: int
    services: tuple[str, ...]
    rule: str = ""
    expect: str = ""
    redaction_version: int = 0
    created_by: str = ""
    created_at: datetime | None = None
    version: int = 1
    spans: Sequence[Entry] | None = None

    @property
    def is_library(self) -> bool:
        """Whether it belongs to nobody, and stays as it is."""
        return self.created_at is None
