"""The pages of API keys: the list, one key, the form for a new one, and a key just made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from api.auth.keys import KeyKind
from api.auth.principal import GRANTS, Permission, Role
from api.keys.authority import Authority
from api.keys.model import Key, KeyState, MadeKey
from api.web.views.moments import Moment, minute_moment, moment
from api.web.views.words import Choice, Message, choices

KEYS_HREF: Final = "/settings/keys"
_P: Final = Permission
MAY: Final[Mapping[Permission, str]] = MappingProxyType(
    {
        _P.SPANS_INGEST: "Send spans",
        _P.RULES_READ: "Read rules and notices",
        _P.RULES_WRITE: "Change rules",
        _P.RULES_TEST: "Check rules and run backtests",
        _P.RULES_SNOOZE: "Snooze rules and wake them",
        _P.SIGNALS_READ: "Read signals",
        _P.SIGNALS_WRITE: "Work on signals: status, assignee, notes",
        _P.TRACES_READ: "Read traces",
        _P.LETTERS_READ: "Read dead letters",
        _P.LETTERS_WRITE: "Put dead letters back or aside",
        _P.TENANT_READ: "Read settings",
        _P.TENANT_WRITE: "Change settings",
        _P.REDACTION_REVEAL: "Be told what tokens stand for",
        _P.KEYS_WRITE: "Make, rotate and revoke API keys",
        _P.AUDIT_READ: "Read the audit log",
        _P.EVIDENCE_READ: "Read evidence and the matrix of controls",
        _P.EVIDENCE_EXPORT: "Export evidence",
        _P.EVIDENCE_NOTICES: "Take notices about evidence for read",
        _P.TENANT_EXPORT: "Export all that the tenant has",
        _P.TENANT_DELETE: "Keep the tenant when its deletion was asked for",
    }
)
"""What each permission lets one do; one that is not here goes by its name."""
ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Role.API_CLIENT: "API client: sends spans, tests rules",
        Role.DEVELOPER: "Developer",
        Role.SRE: "SRE",
        Role.COMPLIANCE_VIEWER: "Compliance viewer",
        Role.VIEWER: "Viewer",
        Role.ADMIN: "Admin: everything",
    }
)
NEVER: Final = "never"  # an empty field would be taken for one that is not there
LIFETIMES: Final[Mapping[str, str]] = MappingProxyType(
    {"7": "7 days", "30": "30 days", "90": "90 days", "365": "A year", NEVER: "Never"}
)
"""Days to words."""
AT_ONCE: Final = "No time: it ends at once"
OVERLAPS: Final[Mapping[str, str]] = MappingProxyType(
    {"0": AT_ONCE, "3600": "1 hour", "86400": "1 day", "604800": "7 days"}
)
"""Seconds to words."""
DONE: Final = MappingProxyType(
    {"revoked": "Revoked. Every process refuses the key within five seconds."}
)
_STATES: Final = MappingProxyType(
    {
        KeyState.ACTIVE: ("Active", "state-active"),
        KeyState.REPLACED: ("Being replaced", "chip-warn"),
        KeyState.EXPIRED: ("Expired", ""),
        KeyState.REVOKED: ("Revoked", ""),
    }
)
_SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key of the list. role: empty for a key with scopes. ends, last_used: None: never."""

    href: str
    name: str
    shown: str
    is_test: bool
    state_label: str
    state_chip: str
    role: str
    scopes: tuple[str, ...]
    last_used: Moment | None
    ends: Moment | None
    ends_soon: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A key just made, to be shown once. before: what becomes of the one it replaces, if any."""

    name: str
    text: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """The page of keys."""

    rows: tuple[KeyRow, ...]
    ended: bool
    older_href: str
    message: Message | None
    made: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """The page of one key. revoked: by whom, empty if nobody did. problem: of the last form."""

    row: KeyRow
    may: tuple[str, ...]
    networks: tuple[str, ...]
    created: Moment
    created_by: str
    revoked: Moment | None
    revoked_by: str
    successor_href: str
    overlaps: tuple[Choice, ...]
    rotate_action: str
    revoke_action: str
    message: Message | None


@dataclass(frozen=True, slots=True)
class ScopeChoice:
    """A box to tick."""

    value: str
    label: str
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDraftText:
    """What a person has put into the form. access: `scopes` or `role`."""

    name: str = ""
    access: str = "scopes"
    scopes: tuple[str, ...] = (Permission.SPANS_INGEST.value,)
    role: str = Role.API_CLIENT.value
    days: str = "90"
    kind: str = KeyKind.LIVE.value
    networks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForm:
    """The form for a new key. test_keys: whether they may be made here."""

    text: KeyDraftText
    scopes: tuple[ScopeChoice, ...]
    roles: tuple[Choice, ...]
    lifetimes: tuple[Choice, ...]
    test_keys: bool
    message: Message | None


def key_list(
    keys: Sequence[Key],
    *,
    now: datetime,
    ended: bool,
    next_cursor: str,
    message: Message | None = None,
    made: MadeKey | None = None,
    went_on: str = "",
) -> KeyList:
    """Return a page of keys, newest first.

    made: a key to be shown once; went_on: for how long the one it replaces goes on, of OVERLAPS.
    """
    older = {"ended": "1", "cursor": next_cursor} if ended else {"cursor": next_cursor}
    return KeyList(
        rows=tuple(_row(key, now=now) for key in keys),
        ended=ended,
        older_href=f"{KEYS_HREF}?{urlencode(older)}" if next_cursor else "",
        message=message,
        made=Shown(made.key.name, made.text, _before(went_on)) if made else None,
    )


def key_page(key: Key, *, now: datetime, message: Message | None = None) -> KeyPage:
    """Return the page of a key, with what can still be done to it."""
    href = _href(key)
    return KeyPage(
        row=_row(key, now=now),
        may=_words(key.permissions),
        networks=tuple(map(str, key.networks)),
        created=moment(key.created_at),
        created_by=key.created_by,
        revoked=moment(key.revoked_at) if key.revoked_at else None,
        revoked_by=key.revoked_by or "",
        successor_href=f"{KEYS_HREF}/{key.replaced_by}" if key.replaced_by else "",
        overlaps=choices(OVERLAPS, "86400"),
        rotate_action=f"{href}/rotate" if key.state is KeyState.ACTIVE else "",
        revoke_action=f"{href}/revoke" if key.in_use else "",
        message=message,
    )


def key_form(
    text: KeyDraftText,
    authority: Authority,
    *,
    test_keys: bool,
    message: Message | None = None,
) -> KeyForm:
    """Return the form, with only what its reader may hand on."""
    granted = [role for role in ROLES if GRANTS[Role(role)] <= authority.permissions]
    return KeyForm(
        text=text,
        scopes=tuple(
            ScopeChoice(permission.value, _word(permission), permission.value in text.scopes)
            for permission in _ordered(authority.permissions)
        ),
        roles=choices({role: ROLES[role] for role in granted}, text.role),
        lifetimes=choices(LIFETIMES, text.days),
        test_keys=test_keys,
        message=message,
    )


def end_of(days: str) -> datetime | None:
    """Return when a key ends that a person wants for so many days; None: never.

    Raises ValueError for days that the form does not offer.
    """
    if days not in LIFETIMES:
        raise ValueError("choose when the key ends")
    return None if days == NEVER else datetime.now(UTC) + timedelta(days=int(days))


def _row(key: Key, *, now: datetime) -> KeyRow:
    label, chip = _STATES[key.state]
    return KeyRow(
        href=_href(key),
        name=key.name,
        shown=key.shown,
        is_test=key.kind is KeyKind.TEST,
        state_label=label,
        state_chip=chip,
        role=ROLES[key.role].partition(":")[0] if key.role else "",
        scopes=tuple(p.value for p in _ordered(key.permissions)) if key.role is None else (),
        last_used=moment(key.last_used_at) if key.last_used_at else None,
        ends=minute_moment(key.expires_at) if key.expires_at else None,
        ends_soon=key.in_use and key.expires_at is not None and key.expires_at - now < _SOON,
    )


def _before(went_on: str) -> str:
    if went_on in ("", AT_ONCE):
        return went_on and "The key before has ended."
    return (
        f"The key before goes on for {went_on}, if it does not end earlier. Put the new one in its "
        "place until then."
    )


def _href(key: Key) -> str:
    return f"{KEYS_HREF}/{key.id}"


def _ordered(permissions: Collection[Permission]) -> list[Permission]:
    known = [permission for permission in MAY if permission in permissions]
    return [*known, *sorted(set(permissions) - set(known))]


def _words(permissions: Collection[Permission]) -> tuple[str, ...]:
    return tuple(_word(permission) for permission in _ordered(permissions))


def _word(permission: Permission) -> str:
    return MAY.get(permission, permission.value)
