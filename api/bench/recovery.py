"""Very many rules on real servers: how long no signal comes when the TaskManager is killed.

One tenant sends and has rules of its own; those of all others are written straight into the rules
log, since nothing but the job shall meet them.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from api.bench.many_rules import RULES, RulesAsked, read_log, write_logs
from api.bench.running import Wanted, running_load
from api.bench.stack import Stack, StackTrouble
from api.bench.watch import SignalWatch

SENDERS_RULES = 100
_RATE = 1_000.0
_BREACH_SHARE = 0.05
"""Several signals a second, so that the first one after the kill is soon there."""
_RECOVERY_S = 600.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class RecoveryFigures:
    """rules: in the log. recovery_s: from the kill to the first signal of a trace sent after it."""

    rules: int
    recovery_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def measure_recovery(
    asked: RulesAsked, stack_of: AbstractContextManager[Stack], *, say: Callable[[str], None]
) -> RecoveryFigures:
    """Fill the rules log, let signals come, and kill the TaskManager.

    Raises StackTrouble, GeneratorFailed.
    """
    with tempfile.TemporaryDirectory(prefix="betrace-bench-") as folder:
        say(f"writing {asked.tenants * asked.rules:,} rules")
        write_logs(Path(folder), asked)
        say("starting the stack")
        with stack_of as stack:
            _append(stack, read_log(Path(folder) / RULES))
            return RecoveryFigures(
                rules=asked.tenants * asked.rules + SENDERS_RULES,
                recovery_s=_recover(stack, say=say),
            )


def _recover(stack: Stack, *, say: Callable[[str], None]) -> float:
    wanted = Wanted(rules=SENDERS_RULES, rate=_RATE, breach_share=_BREACH_SHARE)
    with running_load(wanted, stack, say=say) as load:
        load.generator.set_rate(_RATE)
        say("waiting for signals")
        _visible_ms(load.watch, judged_after_ms=0.0)
        say("killing the TaskManager")
        struck_ms = time.time() * 1000
        os.kill(_task_manager(stack), signal.SIGKILL)
        settle_ms = wanted.lifetimes.settle_ms
        again_ms = _visible_ms(load.watch, judged_after_ms=struck_ms + settle_ms)
        return round((again_ms - struck_ms) / 1000, 1)


def _append(stack: Stack, records: Iterable[bytes]) -> None:
    producer = Producer({"bootstrap.servers": stack["BETRACE_KAFKA"]})
    for record in records:
        producer.produce(stack.rules_topic, record, partition=0, headers=[("v", b"1")])
        if len(producer) > 50_000:
            producer.flush(_RECOVERY_S)
    if producer.flush(_RECOVERY_S):
        raise StackTrouble("Kafka did not take the rules")


def _visible_ms(watch: SignalWatch, *, judged_after_ms: float) -> float:
    """Return when the first signal that was judged after a time became visible."""
    give_up_at = time.monotonic() + _RECOVERY_S
    while time.monotonic() < give_up_at:
        for seen in watch.since(0):
            if seen.judged_ms > judged_after_ms:
                return seen.visible_ms
        time.sleep(_POLL_S)
    raise StackTrouble(f"no signal came within {_RECOVERY_S:.0f} s")


def _task_manager(stack: Stack) -> int:
    pid = stack.roots().get("taskmanager")
    if pid is None:
        raise StackTrouble("the TaskManager is not a process of this stack")
    return pid
