"""Figures as tables for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.table import Table

from api.bench.engine import EngineRun
from api.bench.evaluator import TRACE_SPANS, EvaluatorFigures
from api.bench.evidence import EvidenceFigures
from api.bench.evidence_lists import ListFigures
from api.bench.feed import FeedFigures
from api.bench.many_rules import ManyRulesFigures
from api.bench.overhead import OverheadFigures, Spread
from api.bench.recovery import RecoveryFigures
from api.bench.redaction import RedactionFigures
from api.bench.run import Figures
from api.bench.sealing import SealingFigures
from api.bench.signals import SignalsFigures


def run_table(figures: Figures) -> Table:
    """Return the table of a whole run."""
    found = figures.to_dict()
    table = _table("betrace bench", figures.hardware)
    rows: list[tuple[str, str]] = [
        ("sustained, Kafka to Postgres", f"{found['sustained_spans_per_s']:,} spans/s"),
        ("", "lag flat" if found["sustained_flat"] else "NOT SUSTAINED: lag was growing"),
        ("over", f"{found['seconds']} s, {found['slots']} slots, {found['rules']} rules"),
        ("of them structural", f"{found['structural_rules']}"),
        ("records", f"{found['record_spans']} spans of {found['span_bytes']} bytes"),
        ("spans giving facts", f"{found['facts_share']:.1%}"),
        ("engine", "compiled" if found["compiled"] else "INTERPRETED: run `make env` first"),
        ("precision / recall", f"{found['precision']:.6f} / {found['recall']:.6f}"),
        ("planted, found", f"{found['planted']:,}, {found['found']:,}"),
        ("raised, withdrawn", f"{found['raised']:,}, {found['withdrawn_share']:.1%}"),
        *_latency_rows(figures),
        ("checkpoint", _checkpoint(found["checkpoint"])),
        ("state per trace known", f"{found['state_bytes_per_trace']:,} bytes"),
        ("CPU in use", f"{found['cpu_used_share']:.0%} of the machine"),
        *_cpu_rows(found["cpu_s_per_million_spans"]),
    ]
    return _filled(table, rows)


def overhead_table(figures: OverheadFigures, *, hardware: str) -> Table:
    """Return the table of what a request costs before and after what it is for."""
    table = _table("betrace bench overhead", hardware)
    rows = [("calls of each", f"{figures.calls:,}"), ("[bold]added to a request with", "")]
    for kind in figures.kinds:
        rows.append((f"[bold]{kind.kind}", f"[bold]{_spread(kind.added)}"))
        rows.append(("", f"with it {_spread(kind.whole)}"))
        rows.append(("", f"without {_spread(kind.bare)}"))
    rows.append(("[bold]consisting of", ""))
    rows += [(part.part, _spread(part.took)) for part in figures.parts]
    told = "yes" if figures.within_target else "NO"
    rows.append(("[bold]p95 with a change recorded", f"[bold]{figures.p95_us:,} µs at most"))
    return _filled(table, [*rows, (f"[bold]within {figures.target_us:,} µs", f"[bold]{told}")])


def _spread(spread: Spread) -> str:
    return f"p50 {spread.p50_us:,}, p95 {spread.p95_us:,}, p99 {spread.p99_us:,} µs"


def engine_table(run: EngineRun, *, hardware: str) -> Table:
    """Return the table of the engine alone."""
    table = _table("betrace bench engine", hardware)
    rows = [
        ("spans, in records", f"{run.spans:,}, {run.records:,}"),
        ("spans giving facts", f"{run.giving_share:.1%}"),
        ("precision / recall", f"{run.score.precision:.6f} / {run.score.recall:.6f}"),
        ("raised, withdrawn", f"{run.score.raised:,}, {run.score.withdrawn_share:.1%}"),
        ("spans per CPU second", f"{1e6 / run.cpu_s_per_million_spans['all']:,.0f}"),
        *_cpu_rows(run.cpu_s_per_million_spans),
    ]
    return _filled(table, rows)


def evidence_table(figures: EvidenceFigures, *, hardware: str) -> Table:
    """Return the table of the evidence log alone."""
    table = _table("betrace bench evidence, CPU time of one core", hardware)
    rows = [
        ("records, of bytes each", f"{figures.records:,}, {figures.record_bytes}"),
        ("appends", f"{figures.appends_per_s:,.0f} a second"),
        ("proof of inclusion", f"{figures.inclusion_us:,.0f} µs"),
        ("proof of consistency", f"{figures.consistency_us:,.0f} µs"),
        ("pack", f"{figures.pack_bytes / 1e6:,.0f} MB, written in {figures.write_s:,.1f} s"),
        ("verified in", f"{figures.verify_s:,.1f} s"),
        ("verdict", "valid" if figures.valid else "NOT VALID"),
    ]
    return _filled(table, rows)


def sealing_table(figures: SealingFigures, *, hardware: str) -> Table:
    """Return the table of the evidence log in Postgres."""
    table = _table("betrace bench evidence --postgres", hardware)
    both, cpu = figures.sealed_per_cpu_s, figures.proof_cpu_ms
    rows = [
        ("records", f"{figures.records:,}"),
        ("handed over", f"{figures.handed_over_per_s:,} a second"),
        ("sealed", f"{figures.sealed_per_s:,} a second"),
        ("by CPU second of the sequencer", f"{figures.sealed_per_sequencer_cpu_s:,}"),
        ("the same with its backend", "not known" if both is None else f"{both:,}"),
        ("a record with its proof", f"{figures.proof_ms:.2f} ms"),
        ("CPU time of both for that", "not known" if cpu is None else f"{cpu:.2f} ms"),
    ]
    return _filled(table, rows)


def lists_table(figures: ListFigures, *, hardware: str) -> Table:
    """Return the table of what is asked of much evidence."""
    table = Table("question", "p50 ms", "p95 ms", "most ms", "records it chose")
    table.title = f"betrace bench evidence --matrix, {figures.records:,} records"
    table.caption = f"{hardware}; sealed {figures.sealed_per_s:,} a second"
    for one in figures.questions:
        table.add_row(
            one.question,
            f"{one.p50_ms:,.1f}",
            f"{one.p95_ms:,.1f}",
            f"{one.most_ms:,.1f}",
            "" if one.found is None else f"{one.found:,}",
        )
    return table


def feed_table(figures: FeedFigures, *, hardware: str) -> Table:
    """Return the table of the live feed."""
    table = _table("betrace bench feed", hardware)
    mebi = 2**20
    told = "yes" if figures.within_target else "NO"
    rows = [
        ("open streams", f"{figures.connections:,}"),
        ("signals", f"{figures.written:,}, {figures.rate:,} a second for {figures.seconds} s"),
        ("delivery p50", f"{figures.p50_ms:,.0f} ms"),
        ("delivery p95", f"{figures.p95_ms:,.0f} ms"),
        ("delivery p99", f"{figures.p99_ms:,.0f} ms"),
        ("messages to a stream", f"{figures.chunks / figures.connections:,.0f}"),
        ("streams broken and taken up", f"{figures.broken:,}"),
        ("signals lost, told twice", f"{figures.lost:,}, {figures.twice:,}"),
        ("memory of the API, all open", f"{figures.rss_begin_bytes / mebi:,.0f} MiB"),
        ("at most", f"{figures.rss_most_bytes / mebi:,.0f} MiB"),
        ("at the end", f"{figures.rss_end_bytes / mebi:,.0f} MiB"),
        ("CPU of the API", f"{figures.api_cpu_share:.0%} of a core"),
        (f"p95 within {figures.target_ms} ms and nothing lost", told),
    ]
    return _filled(table, rows)


def signals_table(figures: SignalsFigures, *, hardware: str) -> Table:
    """Return the table of requests about very many signals."""
    table = Table("request", "p50 ms", "p95 ms", "items", caption=hardware)
    table.title = f"betrace bench signals: {figures.signals:,} signals, {figures.calls} calls each"
    for each in figures.requests:
        p95 = f"{each.p95_ms:,.1f}"
        over = each.p95_ms >= figures.target_ms
        table.add_row(
            each.name, f"{each.p50_ms:,.1f}", f"[bold red]{p95}" if over else p95, f"{each.items:,}"
        )
    table.add_section()
    table.add_row("written a second", "", f"{figures.filled_per_s:,}", "")
    table.add_row("on disk, GiB", "", f"{figures.bytes / 2**30:.2f}", "")
    told = "yes" if figures.within_target else "NO"
    table.add_row(f"every p95 below {figures.target_ms} ms", "", told, "")
    return table


def evaluator_table(figures: EvaluatorFigures, *, hardware: str) -> Group:
    """Return the tables of the evaluator alone."""
    small = Table("rules", "apply to a trace", "traces/s", "match µs", "judge µs")
    small.title = f"{TRACE_SPANS}-span traces"
    for row in figures.by_rules:
        small.add_row(
            f"{row.rules:,}",
            f"{row.applying:.1f}",
            f"{row.traces_per_s:,.0f}",
            f"{row.match_us:.1f}",
            f"{row.judge_us:.1f}",
        )
    table = _table("betrace bench evaluator, CPU time of one core", hardware)
    loss = figures.loss(10, 1_000)
    rows = [("engine", "compiled" if figures.compiled else "interpreted")]
    if loss is not None:
        rows.append(("traces/s lost from 10 to 1,000 rules", f"{loss:.1%}"))
    rows += [
        (f"one trace of {one.spans:,} spans, {one.rules:,} {one.judged_by}", f"{one.ms:,.0f} ms")
        for one in figures.large
    ]
    text = f"{figures.text.ms:.0f} ms ({figures.text.shape})"
    rows.append((f"parse and check {figures.text.text_bytes / 1024:.0f} KiB, slowest shape", text))
    return Group(small, _filled(table, rows))


def redaction_table(figures: RedactionFigures, *, hardware: str) -> Group:
    """Return the tables of redaction."""
    rates = Table("spans with something", "redaction alone", "door without", "with", "replaced")
    rates.title = f"spans/s, {figures.record_spans}-span records, {figures.span_bytes}-byte spans"
    for row in figures.rows:
        rates.add_row(
            f"{row.share:.0%}",
            f"{row.redaction_spans_per_s:,}",
            f"{row.without_spans_per_s:,}",
            f"{row.with_spans_per_s:,}",
            f"{row.replaced:,}",
        )
    table = _table("betrace bench redaction, CPU time of one core", hardware)
    told = "yes" if figures.within_target else "NO"
    rows = [
        ("making a redactor", f"{figures.made_ms:,.0f} ms"),
        (f"[bold]scan over {figures.target_spans_per_s:,} spans/s", f"[bold]{told}"),
    ]
    return Group(rates, _filled(table, rows))


def many_rules_table(figures: ManyRulesFigures, *, hardware: str) -> Table:
    """Return the table of very many rules."""
    table = _table("betrace bench rules, one process of the job, CPU time", hardware)
    rows = [
        ("engine", "compiled" if figures.compiled else "interpreted"),
        ("rules", f"{figures.tenants:,} tenants × {figures.rules:,}, {figures.log_mb:,.1f} MB"),
        ("read the rules log", f"{figures.read_s:.2f} s"),
        ("first record of a tenant → judged", f"{figures.first_ms:,.0f} ms"),
        ("a span of that tenant", f"{figures.span_us:.2f} µs"),
        ("first record after a rule was saved", f"{figures.changed_ms:,.1f} ms"),
        ("every tenant judged once", f"{figures.awake_s:.1f} s"),
        ("resident before the log was read", f"{figures.base_mb:,.0f} MB"),
        ("and then, nobody sends", f"{figures.idle_mb:,.0f} MB"),
        ("every tenant sends", f"{figures.awake_mb:,.0f} MB"),
        ("all let go again", f"{figures.let_go_mb:,.0f} MB"),
    ]
    return _filled(table, rows)


def recovery_table(figures: RecoveryFigures, *, hardware: str) -> Table:
    """Return the table of a recovery."""
    table = _table("betrace bench rules --recovery", hardware)
    rows = [
        ("rules in the log", f"{figures.rules:,}"),
        ("TaskManager killed → next signal visible", f"{figures.recovery_s:.1f} s"),
    ]
    return _filled(table, rows)


def _table(title: str, hardware: str) -> Table:
    return Table("figure", "", title=title, caption=hardware, show_header=False, box=None)


def _filled(table: Table, rows: Iterable[tuple[str, str]]) -> Table:
    for name, value in rows:
        table.add_row(name, value)
    return table


def _latency_rows(figures: Figures) -> Iterable[tuple[str, str]]:
    for latency in figures.latencies:
        for name, delays in (
            ("closing → signal", latency.closing),
            ("last span → signal", latency.last_span),
            ("breach → signal, at once", latency.at_once),
        ):
            text = f"p50 {delays.p50_ms:,.0f}, p95 {delays.p95_ms:,.0f}, p99 {delays.p99_ms:,.0f}"
            yield f"{name}, {latency.share:.0%} load", f"{text} ms ({delays.count:,} signals)"


def _checkpoint(found: dict[str, Any]) -> str:
    duration = found["duration_ms"]
    took = f"p50 {duration.get('p50', 0):,.0f}, max {duration.get('max', 0):,} ms"
    return f"{found['state_bytes'] / 1e6:,.1f} MB, {took}; {found['failed']} failed"


def _cpu_rows(cpu_s: dict[str, float]) -> Iterable[tuple[str, str]]:
    return ((f"CPU s per million spans: {group}", f"{s:.3f}") for group, s in cpu_s.items())
