"""What the figures of very many rules are taken from, and how they are shown; no speeds."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from api.bench.many_rules import (
    CHANGED,
    RULES,
    ManyRulesFigures,
    RulesAsked,
    read_log,
    tenant_id,
    tenant_mix,
    write_logs,
)
from api.bench.recovery import RecoveryFigures
from api.bench.report import many_rules_table, recovery_table
from api.command.app import app
from udfs.rulebook import ACTIVATION_MS, RuleBook
from udfs.wire import betrace_pb2 as wire

FIGURES = ManyRulesFigures(
    compiled=False,
    tenants=100,
    rules=1_000,
    log_mb=22.5,
    base_mb=70.0,
    read_s=0.6,
    idle_mb=81.0,
    first_ms=333.0,
    span_us=7.25,
    changed_ms=38.5,
    awake_s=44.0,
    awake_mb=912.0,
    let_go_mb=95.0,
)


def shown(table: object) -> str:
    console = Console(file=StringIO(), width=120)
    console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_no_two_tenants_have_a_rule_in_common() -> None:
    texts = [rule.text for number in range(3) for rule in tenant_mix(number, rules=100)]
    assert len(set(texts)) == len(texts) == 300


def test_the_log_holds_the_rules_of_all_tenants_and_a_change_of_the_first(tmp_path: Path) -> None:
    write_logs(tmp_path, RulesAsked(tenants=2, rules=10))
    book = RuleBook()
    for name in (RULES, CHANGED):
        for offset, record in enumerate(read_log(tmp_path / name), start=book.next_offset):
            book.add(record, append_ms=0 if name == RULES else 60_000, offset=offset)
    assert book.next_offset == 21
    before = book.in_force(tenant_id(0), ACTIVATION_MS)
    after = book.in_force(tenant_id(0), 60_000 + ACTIVATION_MS)
    assert [rule.version for rule in before] == [1] * 10
    assert [rule.version for rule in after] == [2] + [1] * 9
    assert len(book.in_force(tenant_id(1), ACTIVATION_MS)) == 10
    assert not book.broken
    (changed,) = (wire.RuleLogRecord.FromString(r).rule for r in read_log(tmp_path / CHANGED))
    known = {number for rule in before for number, _ in rule.predicates}
    assert known.isdisjoint(entry.number for entry in changed.predicates)


def test_the_command_measures_a_process_of_its_own_and_prints_json() -> None:
    arguments = ["bench", "rules", "--tenants", "2", "--rules", "20", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["many_rules"]
    assert (figures["tenants"], figures["rules"]) == (2, 20)
    times = ("read_s", "first_ms", "span_us", "changed_ms", "awake_s")
    sizes = ("log_mb", "base_mb", "idle_mb", "awake_mb", "let_go_mb")
    assert all(figures[name] > 0 for name in (*times, *sizes))


def test_the_tables_hold_every_figure() -> None:
    table = shown(many_rules_table(FIGURES, hardware="a machine"))
    for part in ("interpreted", "100 tenants × 1,000", "333 ms", "7.25 µs", "38.5 ms", "912 MB"):
        assert part in table
    assert "44.1 s" in shown(recovery_table(RecoveryFigures(100_000, 44.1), hardware="a machine"))
