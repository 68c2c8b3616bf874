"""The bar above signals and groups: tabs, menus with counts, range, order, saved views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from api.signals.counting import Counted, Facet, Facets
from api.signals.model import Status
from api.signals.saved_views import SavedView
from api.web.views.signal_query import (
    ME,
    NOBODY_WORD,
    RANGES,
    UNRESOLVED,
    Several,
    SignalQuery,
)
from api.web.views.words import SEVERITIES, SHOWN, STATUSES, Choice, choices

OPTIONS_MAX: Final = 30
"""Of a menu; those that are chosen are always there."""
_MENUS: Final[tuple[tuple[Several, Facet, str], ...]] = (
    ("severity", Facet.SEVERITY, "Severity"),
    ("rule_id", Facet.RULE, "Rule"),
    ("assignee", Facet.ASSIGNEE, "Assignee"),
    ("tag", Facet.TAG, "Tag"),
)


@dataclass(frozen=True, slots=True)
class Tab:
    """A status to look at, and how many signals it has under the other filters."""

    label: str
    href: str
    current: bool
    count: str


@dataclass(frozen=True, slots=True)
class Option:
    """A value of a menu. tone: a class for its colour, or nothing."""

    value: str
    label: str
    count: str
    selected: bool
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """A filter that takes several values. chosen: how many are."""

    name: str
    label: str
    options: tuple[Option, ...]
    chosen: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Chip:
    """A value that narrows the list, and the address without it."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class ViewLink:
    """A saved view. remove_href: empty if the reader may not."""

    name: str
    href: str
    current: bool
    owner: str
    remove_href: str


@dataclass(frozen=True, slots=True)
class Views:
    """Saved views, and what the form that saves the current one needs."""

    own: tuple[ViewLink, ...]
    shared: tuple[ViewLink, ...]
    query: str
    may_share: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The bar. hidden: what the form carries besides its fields."""

    action: str
    hidden: tuple[tuple[str, str], ...]
    tabs: tuple[Tab, ...]
    menus: tuple[Menu, ...]
    service: str
    services: tuple[Counted, ...]
    shown: tuple[Choice, ...]
    ranges: tuple[Choice, ...]
    from_text: str
    to_text: str
    sorts: tuple[Choice, ...]
    chips: tuple[Chip, ...]
    clear_href: str
    views: Views
    total: str


def filters_of(
    query: SignalQuery,
    facets: Facets,
    *,
    path: str,
    sorts: Mapping[str, str],
    rules: Mapping[str, str],
    views: Views,
) -> Filters:
    """Return the bar of a list. path: of the list. rules: rule id to name."""
    first = replace(query, cursor="")
    custom = bool(query.from_text or query.to_text)
    ranges = {name: label for name, (label, _) in RANGES.items()}
    hidden = [("status", status) for status in query.status]
    hidden += [("group", group) for group in query.group]
    (_, first_sort), *other_sorts = sorts.items()
    return Filters(
        action=path,
        hidden=tuple(hidden),
        tabs=_tabs(first, facets, path),
        menus=tuple(
            _menu(name, facets.values[facet], query, label=label, rules=rules)
            for name, facet, label in _MENUS
        ),
        service=query.service,
        services=facets.values[Facet.SERVICE],
        shown=choices(SHOWN, query.shown, nothing="Alerts"),
        ranges=choices(ranges, query.range, nothing="From … to" if custom else "Any time"),
        from_text=query.from_text,
        to_text=query.to_text,
        sorts=choices(dict(other_sorts), query.sort, nothing=first_sort),
        chips=_chips(first, path, rules),
        clear_href=SignalQuery(status=query.status, sort=query.sort).href(path)
        if query.filtered
        else "",
        views=views,
        total=_many(facets.total),
    )


def views_of(
    views: Iterable[SavedView],
    query: SignalQuery,
    *,
    grouped: bool,
    actor: str,
    may_share: bool,
    may_remove_shared: bool,
) -> Views:
    """Return the menu of saved views. grouped: whether the page shows groups."""
    current = replace(query, cursor="").href("")
    saved = current.removeprefix("?") + (_GROUPED if grouped else "")
    links = [
        (
            view.shared,
            ViewLink(
                name=view.name,
                href=view_href(view.query),
                current=_plain(view.query) == _plain(saved.removeprefix("&")),
                owner="" if view.owner == actor else "shared",
                remove_href=f"/signals/views/{view.id}/remove"
                if view.owner == actor or may_remove_shared
                else "",
            ),
        )
        for view in views
    ]
    return Views(
        own=tuple(link for shared, link in links if not shared),
        shared=tuple(link for shared, link in links if shared),
        query=saved.removeprefix("&"),
        may_share=may_share,
    )


_GROUPED: Final = "&grouped=yes"


def view_href(query: str) -> str:
    """Return where a saved view leads: to groups or to signals."""
    pairs = query.split("&") if query else []
    path = "/home" if _GROUPED.removeprefix("&") in pairs else "/signals"
    kept = "&".join(pair for pair in pairs if pair != _GROUPED.removeprefix("&"))
    return f"{path}?{kept}" if kept else path


def _plain(query: str) -> frozenset[str]:
    return frozenset(query.split("&")) - {""}


def _tabs(query: SignalQuery, facets: Facets, path: str) -> tuple[Tab, ...]:
    counts = {counted.value: counted.count for counted in facets.values[Facet.STATUS]}
    tabs: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("All", ()),
        ("Unresolved", UNRESOLVED),
        *((label, (status,)) for status, label in STATUSES.items()),
    )
    return tuple(
        Tab(
            label,
            replace(query, status=statuses).href(path),
            set(query.status) == set(statuses),
            _many(sum(counts.get(status, 0) for status in statuses or [s.value for s in Status])),
        )
        for label, statuses in tabs
    )


def _menu(
    name: Several,
    counted: Sequence[Counted],
    query: SignalQuery,
    *,
    label: str,
    rules: Mapping[str, str],
) -> Menu:
    chosen: tuple[str, ...] = getattr(query, name)
    counts = {_word(name, one.value): one.count for one in counted}
    if name == "severity":
        values = list(SEVERITIES)
    elif name == "assignee":
        values = list(dict.fromkeys([ME, NOBODY_WORD, *counts, *chosen]))
    else:
        values = list(dict.fromkeys([*counts, *chosen]))
    shown = [value for value in values if value in chosen]
    shown += [value for value in values if value not in chosen][: OPTIONS_MAX - len(shown)]
    listed = [value for value in values if value in set(shown)]
    options = tuple(
        Option(
            value=value,
            label=_label(name, value, rules),
            count="" if value == ME else _many(counts.get(value, 0)),
            selected=value in chosen,
            tone=f"severity severity-{value}" if name == "severity" else "",
        )
        for value in listed
    )
    return Menu(name, label, options, len(chosen), len(values) - len(listed))


def _word(name: Several, value: str) -> str:
    return NOBODY_WORD if name == "assignee" and not value else value


def _label(name: str, value: str, rules: Mapping[str, str]) -> str:
    match name:
        case "severity":
            return SEVERITIES[value]
        case "rule_id":
            return rules.get(value, value)
        case "assignee":
            return {ME: "Me", NOBODY_WORD: "Nobody"}.get(value, value)
    return value


def _chips(query: SignalQuery, path: str, rules: Mapping[str, str]) -> tuple[Chip, ...]:
    several: tuple[tuple[Several, str], ...] = (
        ("severity", ""),
        ("rule_id", ""),
        ("assignee", "Assignee "),
        ("tag", "Tag "),
        ("group", "Group "),
    )
    chips = [
        Chip(
            f"{before}{value[:12] if name == 'group' else _label(name, value, rules)}",
            query.without(name, value).href(path),
        )
        for name, before in several
        for value in getattr(query, name)
    ]
    if query.service:
        chips.append(Chip(f"Service {query.service}", replace(query, service="").href(path)))
    if query.shown:
        chips.append(Chip(SHOWN[query.shown], replace(query, shown="").href(path)))
    if query.range:
        chips.append(Chip(RANGES[query.range][0], replace(query, range="").href(path)))
    if query.from_text:
        chips.append(
            Chip(f"From {_time(query.from_text)}", replace(query, from_text="").href(path))
        )
    if query.to_text:
        chips.append(Chip(f"To {_time(query.to_text)}", replace(query, to_text="").href(path)))
    return tuple(chips)


def _time(text: str) -> str:
    return f"{text.replace('T', ' ')} UTC" if len(text) <= len("2026-11-27T10:00") else text


def _many(count: int) -> str:
    return f"{count:,}"
