"""Where somebody can go: pages, rules and recent signals that fit some words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.auth.principal import Permission, Principal
from api.web.views.links import rule_href
from api.web.views.moments import moment

LISTED: Final = 6
"""Rules and signals of each list."""
_P: Final = Permission
_PAGES: Final[tuple[tuple[str, str, Permission | None], ...]] = (
    ("Signals", "/signals", _P.SIGNALS_READ),
    ("Traces", "/traces", _P.TRACES_READ),
    ("Rules", "/rules", _P.RULES_READ),
    ("New rule", "/rules/new", _P.RULES_WRITE),
    ("Sample traces", "/samples", _P.RULES_TEST),
    ("Test runs", "/test-runs", _P.RULES_READ),
    ("Notices", "/notices", _P.RULES_READ),
    ("Controls", "/evidence/controls", _P.EVIDENCE_READ),
    ("Evidence", "/evidence", _P.EVIDENCE_READ),
    ("Verify a pack", "/evidence/verify", _P.EVIDENCE_READ),
    ("Dead letters", "/dead-letters", _P.LETTERS_READ),
    ("Audit log", "/audit", _P.AUDIT_READ),
    ("Your account", "/settings/account", None),
    ("Settings of the tenant", "/settings/tenant", _P.TENANT_READ),
    ("Team", "/settings/team", _P.TENANT_READ),
    ("Usage", "/settings/usage", _P.TENANT_READ),
    ("Retention", "/settings/retention", _P.TENANT_READ),
    ("Checkpoints of evidence", "/settings/evidence", _P.TENANT_READ),
    ("Redaction", "/settings/redaction", _P.TENANT_READ),
    ("API keys", "/settings/keys", _P.KEYS_WRITE),
    ("Data and deletion", "/settings/data", _P.TENANT_READ),
)
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Way:
    """One place to go. id: of its element."""

    id: str
    href: str
    label: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ways:
    """Places of one kind."""

    title: str
    id: str
    items: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Palette:
    """What fits some words. text: the words."""

    text: str
    groups: tuple[Ways, ...]

    @property
    def count(self) -> int:
        """How many places there are."""
        return sum(len(group.items) for group in self.groups)


def palette(
    text: str,
    who: Principal,
    *,
    rules: Sequence[Mapping[str, Any]],
    signals: Sequence[Mapping[str, Any]],
) -> Palette:
    """Return where somebody can go. rules, signals: rows that fit the words."""
    found = {
        "Trace": _trace(text) if who.may(_P.TRACES_READ) else [],
        "Pages": _pages(text, who),
        "Rules": [(rule_href(row["id"]), row["name"], row["id"]) for row in rules],
        "Recent signals": [_signal(row) for row in signals],
    }
    groups = [
        Ways(title, f"ways-{number}", tuple(_ways(items, number)))
        for number, (title, items) in enumerate(found.items())
        if items
    ]
    return Palette(text, tuple(groups))


_Item = tuple[str, str, str]
"""Address, label, detail."""


def _ways(items: Iterable[_Item], group: int) -> Iterable[Way]:
    for number, (href, label, detail) in enumerate(items):
        yield Way(f"way-{group}-{number}", href, label, detail)


def _pages(text: str, who: Principal) -> list[_Item]:
    words = text.lower().split()
    return [
        (href, label, "")
        for label, href, needs in _PAGES
        if (needs is None or who.may(needs)) and all(word in label.lower() for word in words)
    ]


def _trace(text: str) -> list[_Item]:
    if not _TRACE_ID.fullmatch(text):
        return []
    return [(f"/traces/{text.lower()}", "Open the trace", text.lower())]


def _signal(row: Mapping[str, Any]) -> _Item:
    about = " · ".join(
        part
        for part in (row["root_service"], row["root_name"], moment(row["occurred_at"]).text)
        if part
    )
    return (
        f"/signals/{bytes(row['id']).hex()}",
        row["rule_name"] or row["rule_id"],
        about,
    )
