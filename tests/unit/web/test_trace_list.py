"""The page of stored traces: its address, what is typed, bars and facets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from api.problems import ApiError
from api.traces.search import (
    Attribute,
    Facet,
    Facets,
    Found,
    Judged,
    StoredTrace,
    TraceFilter,
    TracePage,
)
from api.web.views.trace_list import TraceQuery, trace_list

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TRACE = StoredTrace(
    trace_id="ab" * 16,
    root_name="POST /pay",
    root_service="shop",
    services=("payments", "shop"),
    span_count=1,
    error_count=2,
    duration_ns=250_000_000,
    started_at=NOW,
    whole=True,
    verdicts=(),
)


def test_what_is_typed_becomes_a_filter() -> None:
    query = TraceQuery(
        service="shop",
        attributes='order.id=4711 http.route "user.tier=very gold"',
        least="250 ms",
        most="1.5s",
        error="1",
        verdict="violated",
        since="2026-11-27T10:00",
        until="2026-11-27T13:00+02:00",
    )
    assert query.chosen(now=NOW) == TraceFilter(
        service="shop",
        attributes=(
            Attribute("order.id", "4711"),
            Attribute("http.route"),
            Attribute("user.tier", "very gold"),
        ),
        min_ns=250_000_000,
        max_ns=1_500_000_000,
        failed=True,
        found=Found.VIOLATED,
        from_at=NOW - timedelta(hours=2),
        to_at=NOW - timedelta(hours=1),
    )
    assert TraceQuery(within="6h").chosen(now=NOW).from_at == NOW - timedelta(hours=6)
    assert TraceQuery(verdict="good", within="ever").chosen(now=NOW) == TraceFilter()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (TraceQuery(attributes='"a'), "quotation mark"),
        (TraceQuery(attributes="=1"), "key=value"),
        (TraceQuery(attributes="a b c d e f g h i"), "8 attributes"),
        (TraceQuery(least="soon"), "no duration"),
        (TraceQuery(least="5 parsecs"), "no duration"),
        (TraceQuery(least="2s", most="1s"), "longer"),
        (TraceQuery(since="noon"), "no time"),
        (TraceQuery(since="2026-11-27", until="2026-11-26"), "after"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(query: TraceQuery, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        query.chosen(now=NOW)
    assert refused.value.status == 400
    assert says in refused.value.detail


def test_an_address_holds_what_is_set_and_gives_it_back() -> None:
    query = TraceQuery(service="a&b", attributes="k=v w", cursor="x")
    address = urlsplit(query.href())
    assert address.path == "/traces"
    assert TraceQuery(**{k: v for k, [v] in parse_qs(address.query).items()}) == query
    assert TraceQuery().href() == "/traces"


def test_bars_are_measured_by_the_longest_of_the_page() -> None:
    short, none = replace(TRACE, duration_ns=25_000_000), replace(TRACE, duration_ns=0)
    page = trace_list(
        TracePage((TRACE, short, none), None, None, ()), TraceQuery(), rules={}, may_test=False
    )
    assert [(row.bar, row.duration) for row in page.rows] == [
        ("100.0", "250 ms"),
        ("10.0", "25 ms"),
        ("0.6", "0 ns"),
    ]
    alone = trace_list(TracePage((none,), None, None, ()), TraceQuery(), rules={}, may_test=False)
    assert alone.rows[0].bar == "0.6"


def test_a_row_counts_in_words() -> None:
    verdicts = tuple(Judged("s", "r", f"Rule {n}", "high", "violated", "open") for n in range(5))
    rows = trace_list(
        TracePage(
            (
                replace(TRACE, verdicts=verdicts),
                replace(TRACE, root_name="", root_service="", error_count=0),
                replace(TRACE, services=("shop",), error_count=1),
            ),
            None,
            None,
            (),
        ),
        TraceQuery(),
        rules={},
        may_test=False,
    ).rows
    assert [(row.title, row.services, row.spans, row.errors) for row in rows] == [
        ("POST /pay", "and 1 service", "1 span", "2 errors"),
        ("No root span", "2 services", "1 span", ""),
        ("POST /pay", "", "1 span", "1 error"),
    ]
    assert (len(rows[0].verdicts), rows[0].more_verdicts) == (3, 2)


def test_a_facet_narrows_the_list_and_is_left_again() -> None:
    facets = Facets(2_000, True, (Facet("shop", 1_200), Facet("a b", 3)), ())
    query = TraceQuery(service="shop", error="1", cursor="x")
    page = trace_list(TracePage((), None, facets, ()), query, rules={}, may_test=False)
    [services] = page.facets
    assert [(link.count, link.chosen, link.href) for link in services.links] == [
        ("1,200", True, "/traces?error=1"),
        ("3", False, "/traces?service=a+b&error=1"),
    ]
    assert (page.count, page.facets_of) == ("More than 2,000", "Of the newest 2,000 that match.")
