"""The pages of evidence: the list with its filters and badges, and a record with its proof."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from api.evidence.model import SealedRecord, Unsigned
from api.evidence.search import OUTCOMES, EvidenceFilter, EvidencePage, ms_of
from api.evidence.verification import Badge, Checked, Verified
from api.evidence.verifying import RECORDS_MAX, FoundThen, HistoryPage
from api.web.views.addresses import with_query
from api.web.views.links import rule_href
from api.web.views.moments import Moment, exact_moment, moment
from api.web.views.words import Choice, choices, doer
from dsl.controls import catalogue, control
from udfs.evidence.malformed import Malformed
from udfs.evidence.record_codec import decode_record
from udfs.evidence.records import (
    Act,
    ComplianceSpan,
    Coverage,
    KeyChange,
    Kind,
    Record,
    RuleRef,
    RuleVerdict,
    outcome_of,
)

LIST_HREF: Final = "/evidence"
VERIFICATIONS_HREF: Final = "/evidence/verifications"
_FIELDS: Final = (
    *("framework", "control", "rule", "service", "text", "kind", "outcome", "since", "until"),
    "cursor",
)
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Kind.SPAN: "Compliance spans",
        Kind.VERDICT: "Verdicts of rules",
        Kind.COVERAGE: "Coverage",
        Kind.ACT: "Acts in BeTrace",
        Kind.KEY: "Keys of the log",
    }
)
OUTCOME_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "satisfied": "Satisfied",
        "violated": "Violated",
        "inconclusive": "Inconclusive",
        "none": "Nothing judged",
        "success": "Success",
        "failure": "Failure",
        "blocked": "Blocked",
        "unknown": "Outcome unknown",
        "created": "Key created",
        "rotated": "Key rotated",
        "revoked": "Key revoked",
    }
)
_OUTCOME_CHIPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "violated": "status-open",
        "failure": "status-open",
        "inconclusive": "chip-warn",
        "unknown": "chip-warn",
        "revoked": "chip-warn",
    }
)
BADGES: Final[Mapping[Badge, tuple[str, str, str]]] = MappingProxyType(
    {
        Badge.VALID: ("Valid", "status-resolved", "circle-check"),
        Badge.INVALID: ("Invalid", "chip-bad", "circle-x"),
        Badge.UNSIGNED: ("Unsigned", "", "clock"),
        Badge.UNVERIFIED: ("Could not verify", "chip-warn", "circle-help"),
    }
)
"""Label, tone and icon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceQuery:
    """The filters of the address. Empty: any. since, until: days in UTC, both inclusive."""

    framework: str = ""
    control: str = ""
    rule: str = ""
    service: str = ""
    text: str = ""
    kind: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    def href(self, path: str = LIST_HREF, **more: str) -> str:
        """Return the address with the filters that are set."""
        return with_query(path, {**self.fields(), **more})

    def fields(self) -> dict[str, str]:
        """Return the filters by the names of their fields, empty ones too."""
        return {name: getattr(self, name) for name in _FIELDS}

    def chosen(self) -> EvidenceFilter:
        """Return the filter for the service; what is no day or word of a field means any."""
        since, until = day_or_none(self.since), day_or_none(self.until)
        return EvidenceFilter(
            framework=self.framework,
            control=self.control,
            rule=self.rule,
            service=self.service,
            text=self.text,
            kinds=tuple(kind for kind in Kind if kind == self.kind),
            outcomes=(self.outcome,) if self.outcome in OUTCOMES else (),
            from_ms=ms_of(since) if since else None,
            to_ms=ms_of(until + timedelta(days=1)) if until and until < date.max else None,
        )


@dataclass(frozen=True, slots=True)
class BadgeView:
    """Whether a record is what was signed. why: empty for a valid one."""

    label: str
    chip: str
    icon: str
    why: str


@dataclass(frozen=True, slots=True)
class ControlLink:
    """A control that a record is evidence of."""

    id: str
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One record in words."""

    seq: int
    href: str
    what: str
    kind: str
    outcome: str
    outcome_chip: str
    controls: tuple[ControlLink, ...]
    source: str
    at: Moment
    badge: BadgeView


@dataclass(frozen=True, slots=True)
class OutageView:
    """No key signs: since when, why, and what waits for one."""

    since: Moment
    cause: str
    pending: str


@dataclass(frozen=True, slots=True)
class EvidenceList:
    """The page."""

    rows: tuple[EvidenceRow, ...]
    total: str
    query: EvidenceQuery
    frameworks: tuple[Choice, ...]
    kinds: tuple[Choice, ...]
    outcomes: tuple[Choice, ...]
    clear_href: str
    newest_href: str
    older_href: str
    csv_href: str
    json_href: str
    jsonl_href: str
    pack_href: str
    unsigned: int
    outage: OutageView | None
    may_export: bool
    fields: tuple[tuple[str, str], ...]
    verify_label: str


def evidence_list(
    page: EvidencePage,
    verified: Verified,
    query: EvidenceQuery,
    *,
    frameworks: Sequence[str],
    waiting: Unsigned | None,
    may_export: bool,
) -> EvidenceList:
    """Return a page of the list. waiting: since when no key signs."""
    first = replace(query, cursor="")
    titles = {one: title_of(one) for one in frameworks}
    rows = tuple(evidence_row(one, verified.by_seq.get(one.seq)) for one in page.items)
    return EvidenceList(
        rows=rows,
        total=f"{page.total or 0:,} record{'' if page.total == 1 else 's'}",
        query=query,
        frameworks=choices(titles, query.framework, nothing="Any framework"),
        kinds=choices(KINDS, query.kind, nothing="Any kind"),
        outcomes=choices(OUTCOME_LABELS, query.outcome, nothing="Any outcome"),
        clear_href=LIST_HREF if first != EvidenceQuery() else "",
        newest_href=first.href() if query.cursor else "",
        older_href=replace(query, cursor=page.next_cursor).href() if page.next_cursor else "",
        csv_href=first.href("/evidence/export", format="csv"),
        json_href=first.href("/evidence/export", format="json"),
        jsonl_href=first.href("/evidence/export", format="jsonl"),
        pack_href=first.href("/evidence/pack"),
        unsigned=sum(row.badge.label == "Unsigned" for row in rows),
        outage=_outage(waiting) if waiting else None,
        may_export=may_export,
        fields=tuple((name, value) for name, value in query.fields().items() if value),
        verify_label=_verify_label(page, query),
    )


def _outage(waiting: Unsigned) -> OutageView:
    count = waiting.pending
    pending = f"{count:,} record{' is' if count == 1 else 's are'}"
    return OutageView(
        exact_moment(waiting.outage.began_ms * 1_000_000), waiting.outage.cause, pending
    )


def _verify_label(page: EvidencePage, query: EvidenceQuery) -> str:
    if query.cursor:
        return "Verify from here on"
    if (page.total or 0) <= RECORDS_MAX:
        return "Verify all of them"
    return f"Verify the newest {RECORDS_MAX:,}"


def evidence_row(sealed: SealedRecord, checked: Checked | None) -> EvidenceRow:
    """Return a record in words; one that cannot be read is told as such."""
    record = decode_record(sealed.line)
    badge = badge_view(checked)
    at = exact_moment(sealed.time_ms * 1_000_000)
    href = record_href(sealed.seq)
    if isinstance(record, Malformed):
        kind = KINDS[sealed.kind]
        return EvidenceRow(
            sealed.seq, href, "A record that cannot be read", kind, "", "", (), "", at, badge
        )
    outcome = outcome_of(record.body)
    return EvidenceRow(
        seq=sealed.seq,
        href=href,
        what=told(record),
        kind=KINDS[record.kind],
        outcome=OUTCOME_LABELS.get(outcome, outcome),
        outcome_chip=_OUTCOME_CHIPS.get(outcome, ""),
        controls=tuple(map(control_link, record.controls)),
        source=_source(record),
        at=at,
        badge=badge,
    )


def badge_view(checked: Checked | None) -> BadgeView:
    """Return how a finding is shown; None: nobody could look."""
    found = checked or Checked(Badge.UNVERIFIED, "", "It could not be looked at.")
    return badge_of(found.badge, found.reason)


def badge_of(badge: Badge, why: str) -> BadgeView:
    """Return how a badge is shown. why: empty for a valid one."""
    label, chip, icon = BADGES[badge]
    return BadgeView(label, chip, icon, why)


def told(record: Record) -> str:
    """Return what a record says, in one line."""
    match record.body:
        case ComplianceSpan() as span:
            return span.operation or span.evidence_type or "A compliance span"
        case RuleVerdict() as verdict:
            return f"Rule {verdict.rule.id} judged a trace"
        case Coverage() as coverage:
            return f"Rule {coverage.rule.id} judged {coverage.judged:,} traces"
        case Act() as act:
            return f"{act.action} {act.target}".strip()
        case KeyChange():
            return "A key of the log"


def control_link(control_id: str) -> ControlLink:
    """Return a control with what it is called and where it is shown."""
    described = control(control_id)
    return ControlLink(control_id, described.title if described else "", control_href(control_id))


def control_href(control_id: str) -> str:
    """Return the address of a control's page."""
    return with_query("/evidence/control", {"id": control_id})


def record_href(seq: int) -> str:
    """Return the address of a record's page."""
    return f"/evidence/records/{seq}"


def title_of(framework: str) -> str:
    """Return what a framework is called."""
    found = catalogue(framework)
    return found.title if found else framework


def day_or_none(text: str) -> date | None:
    """Return a day as a field of a form writes it, None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year >= 1970 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opens:
    """What else the person who looks may open, so that a link leads to no refusal."""

    rules: bool = False
    signals: bool = False
    traces: bool = False

    def rule(self, rule_id: str) -> str:
        """Return the address of a rule's page, empty if it is not for them."""
        return rule_href(rule_id) if self.rules else ""

    def signal(self, signal_id: str) -> str:
        """Return the address of a signal's page, empty if it is not for them."""
        return f"/signals/{signal_id}" if self.signals else ""

    def trace(self, trace_id: str) -> str:
        """Return the address of a trace's page, empty if it is not for them."""
        return f"/traces/{trace_id}" if self.traces and trace_id else ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of a record. href: where it leads, empty: nowhere."""

    label: str
    text: str
    href: str = ""
    mono: bool = False


@dataclass(frozen=True, slots=True)
class ProofView:
    """What proves a record, for people and for the script that verifies it in the browser.

    material: JSON with line, proof, checkpoint and keys, all as text.
    """

    material: str
    canonical: str
    leaf: str
    steps: tuple[str, ...]
    checkpoint: str
    checkpoint_size: str
    signers: tuple[str, ...]
    keys: tuple[str, ...]
    sealed: Moment | None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What a verification found of the record whose page this is."""

    href: str
    badge: BadgeView
    who: str
    at: Moment


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A record's page."""

    row: EvidenceRow
    facts: tuple[Fact, ...]
    sealed: Moment
    has_payload: bool
    proof: ProofView
    json_href: str
    history: tuple[HistoryRow, ...]
    more_history: bool
    history_href: str


def record_page(
    sealed: SealedRecord, verified: Verified, history: HistoryPage, *, opens: Opens
) -> RecordPage:
    """Return the page of a record. history: what verifications found of it."""
    checked = verified.by_seq.get(sealed.seq)
    record = decode_record(sealed.line)
    return RecordPage(
        row=evidence_row(sealed, checked),
        facts=() if isinstance(record, Malformed) else tuple(_facts(record, opens)),
        sealed=exact_moment(sealed.sealed_ms * 1_000_000),
        has_payload=sealed.has_payload,
        proof=_proof(sealed, verified, checked),
        json_href=f"/api/v1/evidence/records/{sealed.seq}/verification",
        history=history_rows(history.items),
        more_history=history.next_cursor is not None,
        history_href=f"/api/v1/evidence/records/{sealed.seq}/verifications",
    )


def history_rows(found: Sequence[FoundThen]) -> tuple[HistoryRow, ...]:
    """Return what verifications found of a record."""
    return tuple(
        HistoryRow(
            href=verification_href(str(one.verification_id)),
            badge=badge_of(one.finding.badge, one.finding.reason),
            who=who_did(one.actor, one.actor_name, one.acting),
            at=moment(one.at),
        )
        for one in found
    )


def verification_href(verification_id: str) -> str:
    """Return the address of a verification's page."""
    return f"{VERIFICATIONS_HREF}/{verification_id}"


def who_did(actor: str, name: str, acting: str) -> str:
    """Return who did something: by name, if they are known still, and for whom."""
    return doer(name or actor, acting)


def _proof(sealed: SealedRecord, verified: Verified, checked: Checked | None) -> ProofView:
    head = verified.head
    proof = checked.proof if checked else ()
    keys = [
        {
            "verifier_key": key.verifier_key,
            "retired": key.retired,
            "revoked_since": key.revoked_since,
        }
        for key in verified.keys
    ]
    material = {
        "seq": sealed.seq,
        "line": b64encode(sealed.line).decode(),
        "proof": [b64encode(one).decode() for one in proof],
        "checkpoint": head.note if head else "",
        "keys": keys,
    }
    checkpoint = head.checkpoint if head else None
    return ProofView(
        material=json.dumps(material),
        canonical=sealed.line.decode(errors="replace"),
        leaf=sealed.leaf.hex(),
        steps=tuple(one.hex() for one in proof),
        checkpoint=head.note if head else "",
        checkpoint_size=f"{checkpoint.size:,}" if checkpoint else "",
        signers=head.signers if head else (),
        keys=tuple(key.verifier_key for key in verified.keys),
        sealed=exact_moment(checkpoint.time_ms * 1_000_000) if checkpoint else None,
    )


def _source(record: Record) -> str:
    match record.body:
        case ComplianceSpan() as span:
            return span.service
        case Act() as act:
            return act.actor
    return ""


def _facts(record: Record, opens: Opens) -> list[Fact]:
    facts = [Fact("Id", record.id, mono=True)]
    match record.body:
        case ComplianceSpan() as span:
            facts += [
                Fact("Service", span.service),
                Fact("Operation", span.operation),
                Fact("Evidence type", span.evidence_type),
                Fact("Trace", span.trace_id, opens.trace(span.trace_id), mono=True),
                Fact("Span", span.span_id, mono=True),
            ]
        case RuleVerdict() as verdict:
            facts += [
                _rule(verdict.rule, opens),
                Fact("Hash of its text", verdict.rule.sha256, mono=True),
                Fact("Signal", verdict.signal, opens.signal(verdict.signal), mono=True),
                Fact("Revision", str(verdict.revision)),
                Fact("Trace", verdict.trace_id, opens.trace(verdict.trace_id), mono=True),
                Fact("Reasons", ", ".join(verdict.reasons)),
            ]
        case Coverage() as coverage:
            facts += [
                _rule(coverage.rule, opens),
                Fact("From", exact_moment(coverage.from_ms * 1_000_000).text),
                Fact("To", exact_moment(coverage.to_ms * 1_000_000).text),
                *(
                    Fact(name.capitalize(), f"{getattr(coverage, name):,}")
                    for name in (
                        *("judged", "satisfied", "violated", "inconclusive", "late", "dropped"),
                    )
                ),
            ]
        case Act() as act:
            facts += [
                Fact("Action", act.action),
                Fact("By", act.actor, mono=True),
                Fact("Target", act.target, mono=True),
            ]
        case KeyChange() as change:
            facts += [
                Fact("Verifier key", change.verifier_key, mono=True),
                Fact("Reason", change.reason),
            ]
    facts.append(Fact("Redaction policy", str(record.policy) if record.policy else ""))
    return [fact for fact in facts if fact.text]


def _rule(rule: RuleRef, opens: Opens) -> Fact:
    return Fact("Rule", f"{rule.id}, version {rule.version}", opens.rule(rule.id))
