"""The table of sustained rates by rules and slots: one bounded search a cell.

All cells of a slots value run on one stack, each with a tenant and rules of its own; the phases
are those of `run`. A cell tries rates near what its neighbour held, for a bounded time, and the
highest that was held is confirmed for as long as asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import inf
from typing import Any

from api.bench.machine import cpu_capacity_s
from api.bench.phases import FIRST_RATE, LESS, Limit, Search, Sustained
from api.bench.rows import Row, RowFile
from api.bench.running import RunningLoad, Say, Wanted, running_load
from api.bench.score import Score
from api.bench.stack import Stack, checkpoints
from udfs.native import is_compiled

STACK_WARM_UP_S = 60.0
"""Of the first cell on a stack: the JVMs compile."""
CELL_WARM_UP_S = 12.0
TRIAL_S = 10.0
TRIAL_REST_S = 5.0
STEP = 1.2
STEP_WITHOUT_NEIGHBOUR = 1.4
NARROW = 1.05
_CONFIRM_S = 25.0
"""Coming to rest and catching up before the rate is confirmed, beside the confirming itself,
for which there is time twice."""
_FIRST = 110_000.0
_SLOTS_GAIN = 1.6
"""What the first cell of more slots is tried at, by what fewer held."""

StackOf = Callable[[int], AbstractContextManager[Stack]]
"""Starts a stack of so many slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    """seconds: for which a rate must be held; cell_s: how long a cell may take, after the warm-up
    of a stack and before its last traces are completed. rate: to hold in every cell, 0: find it.
    """

    rules: tuple[int, ...] = (0, 10, 100, 1_000)
    slots: tuple[int, ...] = (1, 2)
    seconds: float = 20.0
    cell_s: float = 210.0
    record_spans: int = 512
    facts_share: float = 0.2
    rate: float = 0.0
    seed: int = 1
    stack_warm_up_s: float = STACK_WARM_UP_S

    def wanted(self, rules: int) -> Wanted:
        """Return the load of a cell."""
        return Wanted(
            rules=rules,
            record_spans=self.record_spans,
            facts_share=self.facts_share,
            seed=self.seed,
            rate=self.rate,
        )

    def which(self, *, rules: int, slots: int) -> dict[str, Any]:
        """Return the fields of a row by which it is known."""
        return {
            "rules": rules,
            "slots": slots,
            "asked_seconds": self.seconds,
            "cell_seconds": self.cell_s,
            "asked_rate": self.rate,
            "record_spans": self.record_spans,
            "asked_facts_share": self.facts_share,
            "seed": self.seed,
        }


def measure_table(
    settings: TableSettings, stack_of: StackOf, *, rows: RowFile, say: Say
) -> Iterator[Row]:
    """Yield the row of every cell as it is known; those that `rows` has are not measured again.

    Raises StackTrouble, GeneratorFailed, NothingJudged.
    """
    known: list[Row] = []
    for slots in settings.slots:
        for row in _stack_rows(settings, slots, stack_of, rows=rows, known=known, say=say):
            known.append(row)
            yield row


def losses(rows: Iterable[Row], *, few: int = 10, many: int = 1_000) -> dict[int, float]:
    """Return by slots which share of the rate of few rules is lost with many."""
    rates = {(row["slots"], row["rules"]): row["sustained_spans_per_s"] for row in rows}
    return {
        slots: 1 - rates[slots, many] / rates[slots, few]
        for slots in sorted({slots for slots, _ in rates})
        if rates.get((slots, few)) and (slots, many) in rates
    }


def first_rate(known: Sequence[Row], *, slots: int) -> float:
    """Return the rate to try first with so many slots, by the rows that are known already."""
    held = [row for row in known if row["sustained_spans_per_s"]]
    beside = [row["sustained_spans_per_s"] for row in held if row["slots"] == slots]
    if beside:
        return float(beside[-1])
    fewer = [row["sustained_spans_per_s"] for row in held if row["slots"] < slots]
    return _SLOTS_GAIN * max(fewer) if fewer else _FIRST


def _stack_rows(
    settings: TableSettings,
    slots: int,
    stack_of: StackOf,
    *,
    rows: RowFile,
    known: Sequence[Row],
    say: Say,
) -> Iterator[Row]:
    """Yield the rows of one slots value. No stack is started if all of them are in the file."""
    found = {rules: rows.find(settings.which(rules=rules, slots=slots)) for rules in settings.rules}
    yield from (row for row in found.values() if row is not None)
    missing = [rules for rules, row in found.items() if row is None]
    if not missing:
        return
    say(f"starting a stack of {slots} slots")
    with stack_of(slots) as stack:
        for rules in missing:
            say(f"{rules} rules, {slots} slots")
            first = rules == missing[0]
            with running_load(settings.wanted(rules), stack, say=say) as load:
                measured = _measure_cell(
                    settings,
                    load,
                    first=first_rate(known, slots=slots),
                    step=STEP if known else STEP_WITHOUT_NEIGHBOUR,
                    warm_up_s=settings.stack_warm_up_s if first else CELL_WARM_UP_S,
                )
            row = settings.which(rules=rules, slots=slots) | measured
            rows.add(row)
            yield row


def _measure_cell(
    settings: TableSettings, load: RunningLoad, *, first: float, step: float, warm_up_s: float
) -> Row:
    phases = load.phases
    phases.warm_up(seconds=warm_up_s)
    end_s = time.monotonic() + settings.cell_s
    confirm_s = settings.seconds + _CONFIRM_S
    search = Search(
        seconds=TRIAL_S,
        rest_s=TRIAL_REST_S,
        first=first,
        step=step,
        narrow=NARROW,
        until_s=end_s - 2 * confirm_s - TRIAL_S - TRIAL_REST_S,
    )
    limit = Limit(settings.rate, inf) if settings.rate else phases.search(search)
    rate = settings.rate or LESS * (limit.held or FIRST_RATE)
    found = phases.sustain(rate=rate, seconds=settings.seconds, until_s=end_s - confirm_s)
    newest = checkpoints(load.stack["BETRACE_FLINK"]).get("latest", {}).get("completed") or {}
    return _row(load, found, load.complete(), limit=limit, checkpoint=newest)


def _row(
    load: RunningLoad,
    found: Sustained,
    score: Score,
    *,
    limit: Limit,
    checkpoint: dict[str, Any],
) -> Row:
    last = load.generator.last
    used_s = sum(usage.cpu_s for usage in found.usage.values())
    spans = max(found.spans, 1)
    return {
        # A rate that was not held is no result; what was processed of it is told apart.
        "sustained_spans_per_s": round(found.processed_per_s) if found.flat else 0,
        "processed_spans_per_s": round(found.processed_per_s),
        "sustained_flat": found.flat,
        "held_in_trials": round(limit.held),
        "lost_in_trials": None if limit.lost == inf else round(limit.lost),
        "seconds": round(found.seconds, 1),
        "lag_begin_ms": round(found.lag_begin_ms),
        "lag_end_ms": round(found.lag_end_ms),
        "precision": score.precision,
        "recall": score.recall,
        "planted": score.planted,
        "cpu_used_share": round(used_s / cpu_capacity_s(found.seconds), 3),
        "cpu_s_per_million_spans": {
            group: round(usage.cpu_s / spans * 1e6, 3)
            for group, usage in sorted(found.usage.items())
        },
        "checkpoint_state_bytes": checkpoint.get("state_size", 0),
        "checkpoint_ms": checkpoint.get("end_to_end_duration", 0),
        "facts_share": round(load.truth.giving_share, 3),
        "span_bytes": round(last.bytes / max(last.sent, 1)),
        "compiled": is_compiled(),
    }
