"""Very many rules of many tenants: what they cost a process of the job before and when they judge.

A process of its own is measured, which has read nothing but the rules log; its memory is then that
of the rules and of the engine. No two tenants have a rule in common.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO
from uuid import UUID

from api.bench.engine import rule_records
from api.bench.rules import BenchRule, rule_mix

RULES = "rules.log"
CHANGED = "changed.log"

_LENGTH = Struct("<I")
_FAR = 10**8
"""The number of the rule that is saved in place of another: no mix has it."""


class ChildFailed(Exception):
    """The measured process did not come to its end."""


@dataclass(frozen=True, slots=True)
class RulesAsked:
    """How many tenants with how many rules each are measured. folder: of `write_logs`."""

    tenants: int
    rules: int
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyRulesFigures:
    """What a process of the job pays. Times are CPU times; memory is resident, in MB.

    base_mb: before anything was read. read_s: the log, from a file. idle_mb: all read, nobody
    awake. first_ms: from the first record of a tenant to its verdicts. span_us: to match and
    judge a span of that tenant. changed_ms: the first record after one of its rules was saved.
    awake_s, awake_mb: every tenant sends. let_go_mb: none has sent for a while.
    """

    compiled: bool
    tenants: int
    rules: int
    log_mb: float
    base_mb: float
    read_s: float
    idle_mb: float
    first_ms: float
    span_us: float
    changed_ms: float
    awake_s: float
    awake_mb: float
    let_go_mb: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def measure_many_rules(asked: RulesAsked, *, say: Callable[[str], None]) -> ManyRulesFigures:
    """Write a rules log and measure a process that reads it. Raises ChildFailed."""
    with tempfile.TemporaryDirectory(prefix="betrace-bench-") as folder:
        say(f"writing {asked.tenants * asked.rules:,} rules")
        write_logs(Path(folder), asked)
        say("measuring")
        settings = asdict(asked) | {"folder": folder}
        done = subprocess.run(
            [sys.executable, "-m", "api.bench.many_rules_child", json.dumps(settings)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ChildFailed(
            f"the measured process ended with {done.returncode}: {done.stderr[-500:]}"
        )
    return ManyRulesFigures(**json.loads(done.stdout))


# -- the log ---------------------------------------------------------------------------------------


def tenant_id(number: int) -> str:
    """Return the id of the n-th tenant."""
    return str(UUID(int=(4 << 76) | (8 << 60) | number))


def tenant_mix(number: int, *, rules: int) -> tuple[BenchRule, ...]:
    """Return the rules of the n-th tenant."""
    return rule_mix(rules, first_k=number * rules)


def write_logs(folder: Path, asked: RulesAsked) -> None:
    """Write two files: the rules of all tenants, and another version of the very first of them."""
    with (folder / RULES).open("wb") as file:
        for number in range(asked.tenants):
            numbers: dict[int, int] = {}
            mix, tenant = tenant_mix(number, rules=asked.rules), tenant_id(number)
            _write(file, rule_records(tenant, mix, numbers=numbers))
            if not number:
                other = rule_mix(1, first_k=_FAR)
                changed = list(rule_records(tenant, other, numbers=numbers, version=2))
    with (folder / CHANGED).open("wb") as file:
        _write(file, changed)


def read_log(path: Path) -> Iterator[bytes]:
    """Yield the records of a file."""
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            yield file.read(_LENGTH.unpack(head)[0])


def _write(file: BinaryIO, records: Iterable[bytes]) -> None:
    for record in records:
        file.write(_LENGTH.pack(len(record)) + record)


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
