"""Records of evidence, schema `betrace.compliance/1`: what happened, when, for which controls.

A record is one leaf of its tenant's log. It holds nothing personal: that is its payload, behind the
commitment. Ids of rules, signals, traces and acts are in it; names of people, texts and values of
attributes are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dsl import Verdict

SCHEMA: Final = "betrace.compliance/1"


class Kind(StrEnum):
    """What a record is evidence of."""

    SPAN = "span"
    VERDICT = "verdict"
    COVERAGE = "coverage"
    ACT = "act"
    KEY = "key"


class Outcome(StrEnum):
    """How what a compliance span or an act tells of ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class KeyEvent(StrEnum):
    """What became of a key of the log."""

    CREATED = "created"
    ROTATED = "rotated"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class RuleRef:
    """One version of a rule. sha256: hex, of the UTF-8 bytes of its text."""

    id: str
    version: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ComplianceSpan:
    """A span by which a customer's own service said that it kept a control.

    evidence_type: audit_trail, access_provisioning, … as the service says. trace_id, span_id: hex.
    """

    evidence_type: str
    operation: str
    outcome: Outcome
    service: str
    trace_id: str
    span_id: str

    @property
    def kind(self) -> Kind:
        """SPAN."""
        return Kind.SPAN


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What a rule with controls said of one trace (or of one key, for rules over many traces).

    signal, trace_id: hex, 32 digits; trace_id is empty where there is no single trace. A later
    revision of a signal replaces the earlier ones and is a record of its own.
    """

    rule: RuleRef
    verdict: Verdict
    signal: str
    revision: int
    trace_id: str
    incomplete: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """VERDICT."""
        return Kind.VERDICT


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often a rule was judged for one control from one moment up to another.

    The intervals of a rule and control follow each other without a hole; one in which nothing
    happened has zeros. begins: the rule took effect in this one, so that nothing lies before it;
    ends: it was switched off in this one. Traces that a rule does not apply to are in none of the
    numbers. late, dropped: spans that came too late or were refused. from_ms is the event time
    of its record.
    """

    rule: RuleRef
    from_ms: int
    to_ms: int
    judged: int
    satisfied: int
    violated: int
    inconclusive: int
    late: int
    dropped: int
    begins: bool = False
    ends: bool = False

    @property
    def kind(self) -> Kind:
        """COVERAGE."""
        return Kind.COVERAGE


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did with BeTrace itself, by the ids of the audit log.

    action: rule.changed, …; actor: user:<id> or key:<id>; target: rule:<id>, … or empty.
    """

    action: str
    actor: str
    target: str
    outcome: Outcome

    @property
    def kind(self) -> Kind:
        """ACT."""
        return Kind.ACT


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key of the log began, followed another, or is not to be believed any more.

    verifier_key: of the new key, or of the revoked one. endorsement: base64 signature of the key
    before over `endorsement_text`; empty for the first key, a revoked one, and where the key before
    was revoked. since_size: of a revoked key, checkpoints over this size do not count; else 0.
    """

    event: KeyEvent
    verifier_key: str
    endorsement: str = ""
    since_size: int = 0
    reason: str = ""

    @property
    def kind(self) -> Kind:
        """KEY."""
        return Kind.KEY


Body = ComplianceSpan | RuleVerdict | Coverage | Act | KeyChange

NO_VERDICT: Final = "none"
"""The outcome of coverage of an interval in which nothing was judged."""


def outcome_of(body: Body) -> str:
    """Return how it ended in one word: that of a span or act, a verdict, the worst of coverage."""
    match body:
        case ComplianceSpan() | Act():
            return body.outcome.value
        case RuleVerdict():
            return body.verdict.value
        case KeyChange():
            return body.event.value
        case Coverage():
            seen = (
                name for name in ("violated", "inconclusive", "satisfied") if getattr(body, name)
            )
            return next(seen, NO_VERDICT)


@dataclass(frozen=True, slots=True)
class Record:
    """One leaf. seq: its index in the tenant's log, from 0, without a gap.

    id: of what happened, the same when it is delivered twice; tenant: UUID; time_ms: event time;
    controls: <framework>.<control>, sorted, one exactly for coverage; policy: version of the
    redaction policy it was made under, 0 for none; commitment: hex, empty without payload.
    """

    seq: int
    tenant: str
    id: str
    time_ms: int
    controls: tuple[str, ...]
    body: Body
    policy: int = 0
    commitment: str = ""

    @property
    def kind(self) -> Kind:
        """What it is evidence of."""
        return self.body.kind


def endorsement_text(*, origin: str, seq: int, verifier_key: str) -> str:
    """Return what the key before signs when the record at seq lets another key follow it."""
    return f"betrace.key/1\n{origin}\n{seq}\n{verifier_key}\n"
