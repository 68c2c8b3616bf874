"""The filters, the range of time and the order of signals as they stand in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlencode

from api.signals.counting import GroupSort
from api.signals.folds import FoldFilter
from api.signals.model import NOBODY, GroupKey, Severity, Shown, SignalFilter, Sort, Status

ME: Final = "me"
"""The assignee who looks at the page: so a shared view is everybody's own."""
NOBODY_WORD: Final = "nobody"
RANGES: Final[Mapping[str, tuple[str, timedelta]]] = MappingProxyType(
    {
        "1h": ("Last hour", timedelta(hours=1)),
        "24h": ("Last 24 hours", timedelta(hours=24)),
        "7d": ("Last 7 days", timedelta(days=7)),
        "30d": ("Last 30 days", timedelta(days=30)),
    }
)
SORTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Sort.NEWEST: "Newest first",
        Sort.OLDEST: "Oldest first",
        Sort.SEVERITY: "By severity",
        Sort.STATUS: "By status",
    }
)
GROUP_SORTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        GroupSort.LAST_SEEN: "Last seen",
        GroupSort.FIRST_SEEN: "First seen",
        GroupSort.COUNT: "Most signals",
        GroupSort.SEVERITY: "Severity",
    }
)
UNRESOLVED: Final = (Status.OPEN.value, Status.INVESTIGATING.value)
_FULL_LIST: Final = 50
"""So many values of one filter are read from an address."""

Several = Literal["status", "severity", "rule_id", "assignee", "tag", "group"]
SEVERAL: Final[tuple[Several, ...]] = (
    "status",
    "severity",
    "rule_id",
    "assignee",
    "tag",
    "group",
)
"""Filters that take several values: one must fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalQuery:
    """What the address asks for. Empty: any. Words that mean nothing are left out when read.

    assignee: addresses, `me`, `nobody`. range: a key of RANGES, or else from_text and to_text as a
    field of a date and time writes them, in UTC. cursor: opaque, empty for the first page.
    """

    status: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    rule_id: tuple[str, ...] = ()
    assignee: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    service: str = ""
    shown: str = ""
    range: str = ""
    from_text: str = ""
    to_text: str = ""
    sort: str = ""
    cursor: str = ""

    def pairs(self) -> list[tuple[str, str]]:
        """Return what is set as pairs of a query string."""
        several = [(name, text) for name in SEVERAL for text in getattr(self, name)]
        single = {
            "service": self.service,
            "shown": self.shown,
            "range": self.range,
            "from": self.from_text,
            "to": self.to_text,
            "sort": self.sort,
            "cursor": self.cursor,
        }
        return several + [(name, text) for name, text in single.items() if text]

    def href(self, path: str = "/signals") -> str:
        """Return the address with what is set."""
        query = urlencode(self.pairs())
        return f"{path}?{query}" if query else path

    def without(self, name: Several, value: str) -> SignalQuery:
        """Return the query without one value of a filter, on its first page."""
        kept: dict[str, Any] = {name: tuple(one for one in getattr(self, name) if one != value)}
        return replace(self, cursor="", **kept)

    def chosen(self, *, me: str = "", now: datetime | None = None) -> SignalFilter:
        """Return the filter for the services. me: the address of who looks. now: for a range."""
        from_at, to_at = self._times(now or datetime.now(UTC))
        people = {ME: me, NOBODY_WORD: NOBODY}
        return SignalFilter(
            shown=self.shown_of,
            rule_ids=self.rule_id,
            statuses=tuple(Status(text) for text in self.status),
            severities=tuple(Severity(text) for text in self.severity),
            assignees=tuple(people.get(text, text) for text in self.assignee if text != ME or me),
            tags=self.tag,
            groups=tuple(key for text in self.group if (key := GroupKey.parse(text))),
            service=self.service or None,
            from_at=from_at,
            to_at=to_at,
        )

    def folds(self, *, from_at: datetime | None, to_at: datetime | None) -> FoldFilter | None:
        """Return which folded signals belong to the list; None where they cannot.

        Nobody works on them one by one, so they are open and nobody's. Their services, tags and
        groups are not known.
        """
        worked_on = bool(self.status) and Status.OPEN not in self.status
        if worked_on or self.tag or self.group or len(self.rule_id) > 1 or self.sort:
            return None
        if self.assignee and NOBODY_WORD not in self.assignee:
            return None
        begin, end = self._times(datetime.now(UTC))
        return FoldFilter(
            rule_id=self.rule_id[0] if self.rule_id else None,
            severities=tuple(Severity(text) for text in self.severity),
            from_at=max((at for at in (from_at, begin) if at), default=None),
            to_at=min((at for at in (to_at, end) if at), default=None),
        )

    @property
    def shown_of(self) -> Shown:
        """Which signals the list holds."""
        return next((shown for shown in Shown if shown == self.shown), Shown.ALERTS)

    @property
    def filtered(self) -> bool:
        """Whether anything but the status narrows the list."""
        plain = replace(self, status=(), sort="", cursor="")
        return plain != SignalQuery()

    def _times(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        if self.range:
            return now - RANGES[self.range][1], None
        return read_time(self.from_text), read_time(self.to_text)


def read_query(
    pairs: Iterable[tuple[str, str]], *, sorts: Mapping[str, str] = SORTS
) -> SignalQuery:
    """Read what a query string asks for; what means nothing is left out."""
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        if text.strip():
            found.setdefault(name, []).append(text.strip())

    def several(name: str, known: Sequence[str] | None = None) -> tuple[str, ...]:
        texts = dict.fromkeys(found.get(name, ())[:_FULL_LIST])
        return tuple(text for text in texts if known is None or text in known)

    def single(name: str, known: Iterable[str] | None = None) -> str:
        text = found.get(name, [""])[-1]
        return text if known is None or text in tuple(known) else ""

    preset = single("range", RANGES)
    first_sort = next(iter(sorts))
    sort = single("sort", sorts)
    return SignalQuery(
        status=several("status", [status.value for status in Status]),
        severity=several("severity", [severity.value for severity in Severity]),
        rule_id=several("rule_id"),
        assignee=several("assignee"),
        tag=several("tag"),
        group=tuple(text for text in several("group") if GroupKey.parse(text)),
        service=single("service"),
        shown=single("shown", [shown.value for shown in Shown if shown is not Shown.ALERTS]),
        range=preset,
        from_text="" if preset or read_time(single("from")) is None else single("from"),
        to_text="" if preset or read_time(single("to")) is None else single("to"),
        sort="" if sort == first_sort else sort,
        cursor=single("cursor"),
    )


def read_time(text: str) -> datetime | None:
    """Return a time as fields write it, in UTC unless it says otherwise; None if it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return aware if aware.year > 1 else None
