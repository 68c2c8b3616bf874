"""The settings page about how long things are kept, and the hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from api.retention.service import Hold, Retention
from api.retention.terms import FOREVER, Choices, Kept, Kind, days_text
from api.web.views.moments import Moment, minute_moment
from api.web.views.words import Message

RETENTION_HREF: Final = "/settings/retention"
_KINDS: Final[Mapping[Kind, tuple[str, str]]] = MappingProxyType(
    {
        Kind.SIGNALS: (
            "Signals",
            "With explanations and the traces that prove them, from when they are closed on.",
        ),
        Kind.OPEN_SIGNALS: (
            "Open signals",
            "Those that somebody has to look at still. Kept until they are closed, unless you say "
            "otherwise.",
        ),
        Kind.LETTERS: ("Dead letters", "What could not be read, looked at or not."),
        Kind.BACKTESTS: ("Backtests", "With their results."),
        Kind.ACCOUNTS: ("Counts by minute", "Of spans, and of verdicts of each rule."),
        Kind.USAGE: ("Usage by day", "What the page of usage shows."),
        Kind.AUDIT: ("Audit log", "Who did what, and what was refused."),
    }
)
KIND_LABELS: Final[Mapping[Kind, str]] = MappingProxyType(
    {kind: label for kind, (label, _) in _KINDS.items()}
)
_DELETED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signals": "Signals",
        "open_signals": "Open signals",
        "folds": "Minutes of storms",
        "traces": "Copies of traces",
        "dead_letters": "Dead letters",
        "backtests": "Backtests",
        "accounts": "Counts by minute",
        "rule_accounts": "Counts of rules by minute",
        "usage": "Days of usage",
        "redactions": "Days of counts of redactions",
        "audit": "Rows of the audit log",
    }
)
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "changed": "Changed. What is over is deleted within some hours.",
        "held": "Nothing is deleted until the hold is lifted.",
        "released": "The hold is lifted. What is over is deleted again, within some hours.",
    }
)


@dataclass(frozen=True, slots=True)
class DaysField:
    """A field for a number of days. usual: what an empty one means. value: empty: as usual."""

    name: str
    label: str
    hint: str
    value: str
    usual: str


@dataclass(frozen=True, slots=True)
class DeletedRow:
    """What was deleted lately."""

    label: str
    rows: str
    day: str


@dataclass(frozen=True, slots=True)
class HoldShown:
    """The hold. may_lift: by those of the tenant; else the operator does."""

    since: Moment
    may_lift: bool


@dataclass(frozen=True, slots=True)
class RetentionText:
    """What a person has put into the form, by kind."""

    days: Mapping[Kind, str]

    def choices(self) -> Choices:
        """Return what was chosen; an empty field is none. Raises ValueError for no number."""
        return {kind: _days(kind, text.strip()) for kind, text in self.days.items() if text.strip()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPage:
    """The page. due: when all of the tenant is deleted, before which nothing goes by its age; None:
    it is not to be. may_write: else the fields are read only."""

    fields: tuple[DaysField, ...]
    hold: HoldShown | None
    due: Moment | None
    deleted: tuple[DeletedRow, ...]
    may_write: bool
    message: Message | None


def retention_page(
    retention: Retention,
    *,
    may_write: bool,
    text: RetentionText | None = None,
    message: Message | None = None,
) -> RetentionPage:
    """Return the page. text: what was typed, where it was refused."""
    return RetentionPage(
        fields=tuple(_field(each, text) for each in retention.times.values()),
        hold=_hold(retention.hold),
        due=minute_moment(retention.delete_after) if retention.delete_after else None,
        deleted=tuple(
            DeletedRow(
                _DELETED.get(each.what, each.what), f"{each.row_count:,}", f"{each.last_day}"
            )
            for each in retention.deleted
        ),
        may_write=may_write,
        message=message,
    )


def _field(each: Kept, text: RetentionText | None) -> DaysField:
    label, hint = _KINDS[each.kind]
    stored = _number(each.days) if each.chosen else ""
    return DaysField(
        name=each.kind,
        label=label,
        hint=f"{hint} Allowed: {each.term.bounds_text}{_or_forever(each)}.",
        value=stored if text is None else text.days.get(each.kind, ""),
        usual=days_text(each.term.days),
    )


def _or_forever(each: Kept) -> str:
    return f", or {FOREVER}" if each.term.most is None else ""


def _number(days: int | None) -> str:
    return FOREVER if days is None else str(days)


def _hold(hold: Hold | None) -> HoldShown | None:
    return HoldShown(minute_moment(hold.since), hold.by == "tenant") if hold else None


def _days(kind: Kind, text: str) -> int | None:
    if text == FOREVER:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(
            f"{_KINDS[kind][0]}: {text!r} is no number of days; leave it empty for the usual"
        )
    return int(text)
