"""The page of the audit log: rows in words, and the filters of the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final

from api.audit.record import Outcome
from api.audit.service import AuditFilter, ShownEntry
from api.web.views.addresses import with_query
from api.web.views.links import rule_href
from api.web.views.moments import Moment, moment
from api.web.views.words import Choice, choices

OUTCOMES: Final[Mapping[str, str]] = MappingProxyType(
    {Outcome.ALLOWED: "Allowed", Outcome.REFUSED: "Refused"}
)
_CHIPS: Final[Mapping[str, str]] = MappingProxyType(
    {Outcome.ALLOWED: "status-resolved", Outcome.REFUSED: "chip-bad"}
)
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rule": "Rules",
        "sample": "Sample traces",
        "signal": "Signals",
        "view": "Views of signals",
        "notice": "Notices",
        "letter": "Dead letters",
        "backtest": "Backtests",
        "key": "API keys",
        "user": "People",
        "member": "Members",
        "invitation": "Invitations",
        "identity": "Links with the provider",
        "grant": "What the provider's claims give",
        "tenant": "Tenant",
        "session": "Signing in and out",
        "credential": "Credentials refused",
        "permission": "Permissions missing",
        "limit": "Limits",
        "request": "Requests refused",
        "evidence": "Evidence",
        "audit": "The log itself",
        "retention": "Retention",
        "redaction": "Redaction",
        "token": "Tokens",
    }
)
"""The first word of an action."""
_ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rule.created": "wrote a new rule",
        "rule.changed": "changed a rule",
        "rule.switched": "switched a rule",
        "rule.deleted": "deleted a rule",
        "rule.key_forgotten": "forgot a key that a rule expected",
        "signal.changed": "worked on a signal",
        "rule.case_added": "kept a case that a rule is held to",
        "rule.case_deleted": "deleted a case that a rule was held to",
        "rule.cases_passed": "ran cases, and all passed",
        "rule.cases_failed": "ran cases, and some failed",
        "sample.added": "took in a sample trace",
        "sample.changed": "changed what is said of a sample trace",
        "sample.deleted": "deleted a sample trace",
        "signal.many_changed": "changed several signals at once",
        "signal.many_undone": "took back a change of several signals",
        "view.saved": "kept a view of the signals",
        "view.changed": "changed a view of the signals",
        "view.removed": "removed a view of the signals",
        "notice.acknowledged": "took a notice for read",
        "letter.replayed": "put a dead letter back",
        "letter.discarded": "discarded a dead letter",
        "backtest.created": "asked for a backtest",
        "backtest.cancelled": "called a backtest off",
        "key.created": "made an API key",
        "key.rotated": "replaced an API key",
        "key.revoked": "revoked an API key",
        "user.created": "made an account",
        "user.password_changed": "changed the password",
        "user.password_reset": "set a forgotten password",
        "user.reset_link_made": "made a link for a forgotten password",
        "user.second_factor_on": "turned the second factor on",
        "user.second_factor_off": "turned the second factor off",
        "user.recovery_codes_changed": "made new recovery codes",
        "member.added": "let somebody in",
        "member.changed": "changed the role of a member",
        "member.removed": "removed a member",
        "member.left": "left the tenant",
        "invitation.created": "invited somebody",
        "invitation.renewed": "made another link for an invitation",
        "invitation.accepted": "accepted an invitation",
        "invitation.cancelled": "cancelled an invitation",
        "identity.linked": "linked an account with the provider",
        "identity.unlinked": "unlinked an account from the provider",
        "grant.changed": "granted something to people of the provider",
        "grant.removed": "took a grant back",
        "tenant.created": "made the tenant",
        "tenant.changed": "changed the settings of the tenant",
        "tenant.suspended": "suspended the tenant",
        "operator.created": "made a key for an operator",
        "operator.revoked": "revoked the key of an operator",
        "operator.began": "signed in as an operator",
        "operator.ended": "signed out as an operator",
        "tier.changed": "changed what a tier grants",
        "tenant.tier": "gave the tenant another tier",
        "tenant.resumed": "let the tenant go on",
        "tenant.exported": "exported all of the tenant",
        "tenant.deletion_asked": "asked for the deletion of the tenant",
        "tenant.deletion_cancelled": "took back the deletion of the tenant",
        "tenant.deletion_began": "began to delete the tenant",
        "session.began": "signed in",
        "session.ended": "signed out",
        "session.refused": "could not sign in",
        "credential.refused": "showed a credential that is not valid",
        "permission.refused": "asked for what they may not do",
        "limit.reached": "asked too often",
        "request.refused": "sent a request that may be forged",
        "evidence.exported": "exported evidence",
        "evidence.verified": "verified evidence",
        "evidence.payload_erased": "erased what is personal in a record",
        "anchor_target.created": "let checkpoints go somewhere",
        "anchor_target.changed": "changed where checkpoints go",
        "anchor_target.removed": "let checkpoints go somewhere no more",
        "anchor_target.tried": "sent a checkpoint by hand",
        "audit.exported": "exported the audit log",
        "audit.forgotten": "forgot rows that are over",
        "redaction.changed": "changed what is taken out of spans",
        "redaction.revealed": "was told what a token stands for",
        "rule.redacted_anew": "a rule is judged by other literals, as redaction changed",
        "retention.changed": "changed how long things are kept",
        "retention.bounded": "changed what may be kept for how long",
        "retention.held": "put a hold on everything: nothing is deleted",
        "retention.released": "lifted the hold",
        "retention.deleted": "deleted what was kept long enough",
    }
)
_PLACES: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "rule": rule_href,
        "signal": lambda signal_id: f"/signals/{signal_id}",
        "backtest": lambda backtest_id: f"/backtests/{backtest_id}",
    }
)
"""Where a target of a kind is shown."""
_SHORT: Final = 8
_UUID_LENGTH: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """The filters of the address. Empty: any. since, until: days in UTC, both inclusive."""

    actor: str = ""
    kind: str = ""
    target: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    def href(self, path: str = "/audit", **more: str) -> str:
        """Return the address with the filters that are set."""
        fields = {
            "actor": self.actor,
            "kind": self.kind,
            "target": self.target,
            "outcome": self.outcome,
            "since": self.since,
            "until": self.until,
            "cursor": self.cursor,
            **more,
        }
        return with_query(path, fields)

    def chosen(self) -> AuditFilter:
        """Return the filter for the service; what is no day or word of a field means any."""
        since, until = _day(self.since), _day(self.until)
        return AuditFilter(
            actor=self.actor or None,
            action=self.kind if self.kind in KINDS else None,
            target=self.target or None,
            outcome=next((each for each in Outcome if each == self.outcome), None),
            from_at=since,
            to_at=until + timedelta(days=1) if until else None,
        )


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row. acting: who acted in the place of who it was, empty: nobody. facts: what more is
    known, in short texts."""

    who: str
    who_href: str
    acting: str
    acting_href: str
    what: str
    target: str
    target_href: str
    outcome_label: str
    outcome_chip: str
    times: str
    at: Moment
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditLogPage:
    """The page."""

    rows: tuple[AuditRow, ...]
    query: AuditQuery
    kinds: tuple[Choice, ...]
    outcomes: tuple[Choice, ...]
    clear_href: str
    newest_href: str
    older_href: str
    csv_href: str
    jsonl_href: str


def audit_page(
    entries: Sequence[ShownEntry], query: AuditQuery, *, next_cursor: str
) -> AuditLogPage:
    """Return a page of the log."""
    first = replace(query, cursor="")
    return AuditLogPage(
        rows=tuple(_row(shown) for shown in entries),
        query=query,
        kinds=choices(KINDS, query.kind, nothing="Everything"),
        outcomes=choices(OUTCOMES, query.outcome, nothing="Any outcome"),
        clear_href="/audit" if first != AuditQuery() else "",
        newest_href=first.href() if query.cursor else "",
        older_href=replace(query, cursor=next_cursor).href() if next_cursor else "",
        csv_href=first.href("/audit/export", format="csv"),
        jsonl_href=first.href("/audit/export", format="jsonl"),
    )


def _row(shown: ShownEntry) -> AuditRow:
    entry = shown.entry
    kind, _, identity = entry.target.partition(":")
    acting = entry.details.get("acting", "")
    place = _PLACES.get(kind)
    return AuditRow(
        who=shown.actor_name or _short(entry.actor),
        who_href=AuditQuery(actor=entry.actor).href(),
        acting=acting,
        acting_href=AuditQuery(actor=acting).href() if acting else "",
        what=_ACTIONS.get(entry.action, entry.action),
        target=_short(entry.target),
        target_href=place(identity) if place else "",
        outcome_label=OUTCOMES[entry.outcome],
        outcome_chip=_CHIPS[entry.outcome],
        times=f"{entry.times:,} times within a minute" if entry.times > 1 else "",
        at=moment(entry.at),
        facts=tuple(fact for fact in _facts(shown) if fact),
    )


def _facts(shown: ShownEntry) -> tuple[str, ...]:
    entry = shown.entry
    details = ", ".join(
        f"{name} {text}" for name, text in sorted(entry.details.items()) if name != "acting"
    )
    return (
        entry.reason,
        details,
        f"{entry.method} {entry.route}".strip(),
        f"from {entry.address}" if entry.address else "",
        entry.user_agent,
        f"request {entry.request_id}" if entry.request_id else "",
    )


def _short(name: str) -> str:
    """Return `user:0b9f1c22…` for what ends in a UUID, anything else as it is."""
    kind, _, identity = name.partition(":")
    if len(identity) != _UUID_LENGTH:
        return name
    return f"{kind} {identity[:_SHORT]}…"


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        return None
