"""Filters, range and order in the address, and the menus that show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.signals.counting import Counted, Facet, Facets
from api.signals.model import NOBODY, GroupKey, Severity, SignalFilter, Status
from api.signals.saved_views import SavedView, canonical
from api.web.views.home import course, spark
from api.web.views.signal_filters import Views, filters_of, view_href, views_of
from api.web.views.signal_query import GROUP_SORTS, SORTS, SignalQuery, read_query

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NO_VIEWS = Views((), (), "", may_share=False)


def test_an_address_is_read_as_it_was_written() -> None:
    query = SignalQuery(
        status=("open", "investigating"),
        severity=("critical",),
        rule_id=("a b", "c&d"),
        assignee=("me", "nobody"),
        tag=("pii",),
        group=("ab" * 16, "rule:x"),
        service="shop",
        shown="all",
        from_text="2026-11-23T10:00",
        to_text="2026-11-24T10:00",
        sort="severity",
        cursor="xyz",
    )
    assert read_query(query.pairs()) == query


@pytest.mark.parametrize(
    "pair",
    [
        ("status", "closed"),
        ("severity", "worst"),
        ("group", "zz"),
        ("shown", "alerts"),
        ("range", "2y"),
        ("from", "yesterday"),
        ("sort", "random"),
        ("sort", "newest"),
        ("service", "  "),
        ("other", "x"),
    ],
)
def test_what_means_nothing_is_left_out(pair: tuple[str, str]) -> None:
    assert read_query([pair]) == SignalQuery()


def test_the_filter_means_what_the_address_says() -> None:
    query = SignalQuery(
        status=("open",),
        severity=("high",),
        assignee=("me", "nobody", "bob@example.com"),
        group=("rule:x",),
        range="24h",
    )
    assert query.chosen(me="ada@example.com", now=NOON) == SignalFilter(
        statuses=(Status.OPEN,),
        severities=(Severity.HIGH,),
        assignees=("ada@example.com", NOBODY, "bob@example.com"),
        groups=(GroupKey(rule_id="x"),),
        from_at=NOON - timedelta(hours=24),
    )


def test_a_time_without_zone_is_utc() -> None:
    chosen = SignalQuery(from_text="2026-11-23T12:00", to_text="2026-11-23T14:00+01:00").chosen()
    assert (chosen.from_at, chosen.to_at) == (NOON, NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    "query",
    [
        SignalQuery(status=("resolved",)),
        SignalQuery(tag=("pii",)),
        SignalQuery(group=("rule:x",)),
        SignalQuery(assignee=("me",)),
        SignalQuery(rule_id=("a", "b")),
    ],
)
def test_storms_are_not_told_of_where_they_cannot_belong(query: SignalQuery) -> None:
    assert query.folds(from_at=None, to_at=None) is None


def facets(**values: tuple[Counted, ...]) -> Facets:
    return Facets(7, {facet: values.get(facet.value, ()) for facet in Facet})


def test_menus_show_counts_and_keep_what_is_chosen() -> None:
    counted = facets(
        severity=(Counted("high", 5), Counted("low", 2)),
        rule=(Counted("a", 4), Counted("b", 3)),
        assignee=(Counted("", 6), Counted("ada@example.com", 1)),
    )
    query = SignalQuery(severity=("critical",), rule_id=("gone",))
    bar = filters_of(
        query, counted, path="/signals", sorts=SORTS, rules={"a": "First"}, views=NO_VIEWS
    )
    menus = {menu.name: menu for menu in bar.menus}
    told = {
        name: [(option.label, option.count, option.selected) for option in menu.options]
        for name, menu in menus.items()
    }
    assert told == {
        "severity": [
            ("Critical", "0", True),
            ("High", "5", False),
            ("Medium", "0", False),
            ("Low", "2", False),
            ("Info", "0", False),
        ],
        "rule_id": [("First", "4", False), ("b", "3", False), ("gone", "0", True)],
        "assignee": [("Me", "", False), ("Nobody", "6", False), ("ada@example.com", "1", False)],
        "tag": [],
    }
    assert [(chip.label, chip.href) for chip in bar.chips] == [
        ("Critical", "/signals?rule_id=gone"),
        ("gone", "/signals?severity=critical"),
    ]


def test_tabs_count_under_the_other_filters() -> None:
    counted = facets(status=(Counted("open", 3), Counted("resolved", 1_200)))
    bar = filters_of(
        SignalQuery(status=("open", "investigating")),
        counted,
        path="/home",
        sorts=GROUP_SORTS,
        rules={},
        views=NO_VIEWS,
    )
    assert [(tab.label, tab.count, tab.current) for tab in bar.tabs][:3] == [
        ("All", "1,203", False),
        ("Unresolved", "3", True),
        ("Open", "3", False),
    ]


def test_a_view_keeps_the_parameters_of_the_list_alone() -> None:
    kept = canonical("?cursor=x&tag=a&status=open&next=//evil.example&severity=&grouped=yes")
    assert kept == "status=open&tag=a&grouped=yes"


@pytest.mark.parametrize(
    ("query", "href"),
    [
        ("", "/signals"),
        ("status=open", "/signals?status=open"),
        ("grouped=yes", "/home"),
        ("status=open&grouped=yes", "/home?status=open"),
    ],
)
def test_a_view_leads_to_signals_or_to_groups(query: str, href: str) -> None:
    assert view_href(query) == href


def test_the_view_that_is_shown_is_marked_and_only_ones_own_is_removable() -> None:
    def view(name: str, query: str, owner: str, *, shared: bool) -> SavedView:
        return SavedView(
            id=name,
            name=name,
            query=query,
            owner=owner,
            shared=shared,
            version=1,
            created_at=NOON,
            changed_at=NOON,
        )

    kept = [
        view("mine", "status=open&grouped=yes", "user:1", shared=False),
        view("theirs", "status=open", "user:2", shared=True),
    ]
    found = views_of(
        kept,
        SignalQuery(status=("open",)),
        grouped=True,
        actor="user:1",
        may_share=False,
        may_remove_shared=False,
    )
    assert [(link.current, link.remove_href) for link in (*found.own, *found.shared)] == [
        (True, "/signals/views/mine/remove"),
        (False, ""),
    ]


@pytest.mark.parametrize(
    ("days", "word"),
    [
        ((0,) * 14, ""),
        ((0,) * 10 + (1, 0, 0, 2), "new"),
        ((2,) * 7 + (3,) * 7, "rising"),
        ((3,) * 7 + (2,) * 7, "falling"),
        ((3,) * 14, "steady"),
    ],
)
def test_the_course_of_a_group_is_a_word(days: tuple[int, ...], word: str) -> None:
    assert course(days) == word


def test_a_sparkline_is_as_high_as_its_highest_day_and_says_so_in_words() -> None:
    drawn = spark((0, 10, 5))
    assert [(bar.y, bar.height) for bar in drawn.bars] == [(23.0, 1.0), (0.0, 24.0), (12.0, 12.0)]
    assert drawn.text == "3 days: 15 signals, at most 10, 5 today"
