"""Rows of long runs as tables for people, and each as a line when it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, JustifyMethod
from rich.table import Column, Table

from api.bench.giant import ratios
from api.bench.rows import Row
from api.bench.soak import Soak
from api.bench.table import losses
from api.bench.trend import RULE

_TAKEN = frozenset({"200", "OK", "written"})
"""Answers to what was taken: OTLP/HTTP, gRPC, Kafka."""


def row_line(kind: str, row: Row) -> str:
    """Return a row as one line."""
    match kind:
        case "door":
            name = f"{row['path']}, {row['request_spans']} spans"
            return f"{name}: {row['spans_per_s']:,} spans/s"
        case "table":
            name = f"{row['rules']:,} rules, {row['slots']} slots"
            held = _rate(row) if row["sustained_flat"] else "no rate held"
            return f"{name}: {held}, precision {row['precision']:.6f}, recall {row['recall']:.6f}"
    closing = row.get("closing")
    told = f": p50 {closing['p50_ms']:,.0f}, p99 {closing['p99_ms']:,.0f} ms" if closing else ""
    return f"{row['part']}{told}"


def table_rows(rows: Sequence[Row], *, hardware: str) -> Group:
    """Return the table of rates by rules and slots."""
    table = Table(
        "rules",
        "slots",
        "spans/s",
        "precision",
        "recall",
        "CPU",
        "Python s/M",
        title="sustained",
        caption=hardware,
    )
    for row in rows:
        held = row["sustained_flat"]
        python = row["cpu_s_per_million_spans"].get("python")
        table.add_row(
            f"{row['rules']:,}",
            f"{row['slots']}",
            _rate(row) if held else f"not {row['processed_spans_per_s']:,}",
            f"{row['precision']:.6f}",
            f"{row['recall']:.6f}",
            f"{row['cpu_used_share']:.0%}",
            "–" if python is None else f"{python:.2f}",
        )
    lost = [
        f"{slots} slots: {share:.1%} lost from 10 to 1,000 rules"
        for slots, share in losses(rows).items()
    ]
    return Group(table, *lost)


def _rate(row: Row) -> str:
    """Return the sustained rate; at least that, where time was over before the limit was found."""
    sustained = f"{row['sustained_spans_per_s']:,}"
    return sustained if row["asked_rate"] or row["lost_in_trials"] else f"≥ {sustained}"


def door_rows(rows: Sequence[Row], *, hardware: str) -> Group:
    """Return the tables of the door: rates by path, and the steps of each protocol."""
    table = Table(
        _figure("path", justify="left"),
        _figure("spans"),
        "redact",
        _figure("spans/s"),
        _figure("MB/s"),
        _figure("p50 ms"),
        _figure("p99 ms"),
        _figure("spans/CPU s"),
        title="betrace bench door",
        caption=f"by CPU seconds of ingest; {hardware}",
    )
    for row in rows:
        delay = row["delay"]
        table.add_row(
            row["path"],
            f"{row['request_spans']}",
            row.get("redaction", "none"),
            f"{row['spans_per_s']:,}",
            f"{row['mb_per_s']:,}",
            f"{delay['p50_ms']:,.0f}" if delay["count"] else "–",
            f"{delay['p99_ms']:,.0f}" if delay["count"] else "–",
            f"{row['spans_per_ingest_cpu_s']:,}" if "spans_per_ingest_cpu_s" in row else "–",
        )
    refused = [
        f"{row['path']}, {row['request_spans']} spans: {count:,} × {status}"
        for row in rows
        for status, count in row["statuses"].items()
        if status not in _TAKEN
    ]
    return Group(table, *refused, *(_steps_table(row) for row in rows if "steps" in row))


def _figure(heading: str, *, justify: JustifyMethod = "right") -> Column:
    return Column(heading, justify=justify, no_wrap=True)


def giant_rows(rows: Sequence[Row], *, hardware: str) -> Group:
    """Return the tables of delays beside large and long traces, and of verdicts."""
    table = Table(
        "part",
        "p50 ms",
        "p99 ms",
        "signals",
        "p50 by alone",
        "p99 by alone",
        title="closing → visible, of the others",
        caption=hardware,
    )
    by_part = {part: (p50, p99) for part, p50, p99 in ratios(rows)}
    for row in rows:
        if "closing" not in row:
            continue
        closing = row["closing"]
        ratio = by_part.get(row["part"])
        table.add_row(
            row["part"],
            f"{closing['p50_ms']:,.0f}",
            f"{closing['p99_ms']:,.0f}",
            f"{closing['count']:,}",
            *(f"{each:.2f}" for each in ratio or ()),
        )
    return Group(table, *(line for row in rows for line in _verdict_lines(row)))


def soak_table(soak: Soak, *, hardware: str) -> Group:
    """Return the table of what grew in a soak."""
    table = Table(
        "figure",
        "first",
        "last",
        "per minute",
        "may add",
        "",
        title="betrace bench soak",
        caption=hardware,
    )
    for each in soak.trends:
        unit = f" {each.figure.unit}".rstrip()
        table.add_row(
            each.figure.title,
            f"{each.first:,.0f}{unit}",
            f"{each.last:,.0f}{unit}",
            f"{each.slope_per_minute:+,.2f}",
            f"{each.allowed:,.0f}{unit}",
            "GROWS" if each.grows else "flat",
        )
    return Group(table, *_soak_lines(soak))


def _soak_lines(soak: Soak) -> list[str]:
    lines = [f"verdict: {soak.verdict} ({RULE})"]
    end = soak.end
    if end is None:
        return [*lines, "not run to its end: precision and recall are not known"]
    return [
        *lines,
        f"lag at the end {end.lag_ms / 1000:.1f} s; {end.unread_spans:,} spans not read",
        f"precision {end.score.precision:.6f}, recall {end.score.recall:.6f} "
        f"of {end.score.planted:,} planted; {end.sent_per_s:,.0f} spans/s, "
        f"{end.cpu_used_share:.0%} of the machine",
    ]


def _steps_table(row: Row) -> Table:
    table = Table(
        "step",
        "µs a request",
        "µs a span",
        title=f"{row['path']}, {row['request_spans']} spans: CPU time",
    )
    for step in row["steps"]:
        table.add_row(step["step"], f"{step['us_per_request']:,.1f}", f"{step['us_per_span']:.2f}")
    return table


def _verdict_lines(row: dict[str, Any]) -> list[str]:
    if "long_recall" in row:
        giant = "right" if row["giant_right"] else "WRONG"
        return [
            f"others: precision {row['precision']:.6f}, recall {row['recall']:.6f}; giant: {giant}",
            f"long traces: precision {row['long_precision']:.6f}, "
            f"recall {row['long_recall']:.6f} of {row['long_planted']} planted",
        ]
    if "hours" in row:
        return [
            f"{row['hours']:g} hours of event time, in process: precision {row['precision']:.6f}, "
            f"recall {row['recall']:.6f}; CPU a span × {row['cpu_ratio']:.2f} beside it"
        ]
    return []
