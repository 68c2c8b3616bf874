"""The evidence log in Postgres: records handed over, then sealed by the sequencer.

Sealing is what `Sequencer.seal` does, batch after batch, by one process and one backend that take
turns. CPU time is that of both; what Postgres does beside (writing out, vacuum) is in neither.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from prometheus_client import CollectorRegistry
from psycopg.rows import dict_row

from api.bench.evidence import BEGIN_MS, RULE
from api.database import Pool, open_pool
from api.evidence.checkpointing import create_log, sign_head
from api.evidence.model import Offer
from api.evidence.offering import offer
from api.evidence.reading import prove_record
from api.evidence.sealing import sealer_of
from api.evidence.sequencer import SealingMetrics, Sequencer, now_ms
from api.keyring.config import KeySettings, key_config
from api.keyring.wiring import Keys, open_keys
from dsl import Verdict
from udfs.evidence.records import RuleVerdict

PROOFS: Final = 1_000
_NAME: Final = "betrace bench sealing"
_HANDED_OVER_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class SealingFigures:
    """What was measured. backend_cpu_s and the like: None where the server is on another machine.

    proof_ms: of reading a record with its proof, by the clock; proof_cpu_ms: of both sides.
    """

    records: int
    handed_over_per_s: float
    wall_s: float
    sequencer_cpu_s: float
    backend_cpu_s: float | None
    sealed_per_s: float
    sealed_per_sequencer_cpu_s: float
    sealed_per_cpu_s: float | None
    proof_ms: float
    proof_cpu_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def measure_sealing(
    *, admin_dsn: str, worker_dsn: str, records: int, say: Callable[[str], None]
) -> SealingFigures:
    """Hand over so many records of a tenant of its own, seal them, and prove some.

    admin_dsn: of the owner of a migrated database that can be thrown away.
    """
    tenant = uuid4()
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            "insert into tenants (id, name, settings) values (%s, %s, '{}')",
            [tenant, f"bench-{tenant}"],
        )
    say(f"handing over {records:,} records")
    begun_s = time.monotonic()
    _hand_over(worker_dsn, tenant, records)
    handed_over_s = time.monotonic() - begun_s
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("vacuum analyze evidence_inbox")
        connection.execute("checkpoint")
    say("sealing")
    return asyncio.run(_measure(worker_dsn, tenant, records, records / handed_over_s))


async def _measure(
    dsn: str, tenant: UUID, records: int, handed_over_per_s: float
) -> SealingFigures:
    async with open_pool(dsn, size=2, name=_NAME) as pool:
        keys = bench_keys(pool)
        origin = f"bench.example/log/{tenant}"
        await create_log(pool, keys, tenant, origin=origin, now_ms=now_ms())
        sequencer = Sequencer(pool, keys, site="bench", metrics=SealingMetrics(CollectorRegistry()))
        pids = await _pids(pool)
        backend_s, own_s, wall_s = _cpu_of(pids), time.process_time(), time.monotonic()
        sealed = 0
        while sealed < records:
            batch = await sequencer.seal(tenant)
            assert batch is not None, "nobody else seals for this tenant"
            sealed += batch.added
        wall_s, own_s = time.monotonic() - wall_s, time.process_time() - own_s
        after_s = _cpu_of(pids)
        await sign_head(pool, keys, tenant, now_ms=now_ms())
        proof_s, proof_cpu_s = await _proven(pool, tenant, records, await _pids(pool))
    backend = None if backend_s is None or after_s is None else after_s - backend_s
    return SealingFigures(
        records=records,
        handed_over_per_s=round(handed_over_per_s),
        wall_s=round(wall_s, 2),
        sequencer_cpu_s=round(own_s, 2),
        backend_cpu_s=None if backend is None else round(backend, 2),
        sealed_per_s=round(records / wall_s),
        sealed_per_sequencer_cpu_s=round(records / own_s),
        sealed_per_cpu_s=None if backend is None else round(records / (own_s + backend)),
        proof_ms=round(proof_s * 1_000, 2),
        proof_cpu_ms=None if proof_cpu_s is None else round(proof_cpu_s * 1_000, 2),
    )


async def _proven(
    pool: Pool, tenant: UUID, records: int, pids: list[int]
) -> tuple[float, float | None]:
    """Return the mean time of reading a record with its proof, by the clock and of CPU, in s."""
    backend_s, own_s, begun_s = _cpu_of(pids), time.process_time(), time.monotonic()
    for number in range(PROOFS):
        await prove_record(pool, sealer_of(tenant), number * records // PROOFS)
    clock_s, own_s = time.monotonic() - begun_s, time.process_time() - own_s
    after_s = _cpu_of(pids)
    if backend_s is None or after_s is None:
        return clock_s / PROOFS, None
    return clock_s / PROOFS, (own_s + after_s - backend_s) / PROOFS


def _hand_over(dsn: str, tenant: UUID, records: int) -> None:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        for begin in range(0, records, _HANDED_OVER_AT_ONCE):
            end = min(begin + _HANDED_OVER_AT_ONCE, records)
            refused = offer(connection, [_offer(tenant, number) for number in range(begin, end)])
            assert not refused, refused[0].detail
            connection.commit()


def _offer(tenant: UUID, number: int) -> Offer:
    return Offer(
        tenant=tenant,
        id=f"{token_hex(16)}.{number}",
        time_ms=BEGIN_MS + number,
        controls=("hipaa.164.312(b)", "soc2.CC7.2"),
        body=RuleVerdict(RULE, Verdict.VIOLATED, f"{number:032x}", number, f"{number:032x}"),
    )


def bench_keys(pool: Pool) -> Keys:
    """Return keys of a local source, with a master key of its own."""
    settings = {"keys_provider": "local", "keys_master": f"bench:{token_hex(32)}"}
    keys = open_keys(key_config(KeySettings.model_validate(settings)), pool)
    assert keys is not None, "settings of keys make keys"
    return keys


async def _pids(pool: Pool) -> list[int]:
    async with pool.connection() as connection:
        rows = await connection.execute(
            "select pid from pg_stat_activity where application_name = %s", [_NAME]
        )
        return [row["pid"] async for row in rows]


def _cpu_of(pids: list[int]) -> float | None:
    """Return the CPU time of backends so far, None where they are not processes of this machine."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
