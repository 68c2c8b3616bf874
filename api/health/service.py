"""Asks the servers we depend on whether they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Literal, Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg_pool import PoolTimeout

from api.database import DatabaseUnavailable, Pool, QueryTooSlow, purpose_transaction

State = Literal["ok", "unavailable"]
_PATIENCE_S: Final = 2.0


class Check(Protocol):
    """One question to a server."""

    async def __call__(self) -> bool:
        """Return whether it answers; raises nothing for an outage."""


async def ask_all(checks: Mapping[str, Check]) -> dict[str, State]:
    """Ask every server at once and return what each said; who is silent is unavailable."""
    answers = await asyncio.gather(*(_ask(check) for check in checks.values()))
    return {
        name: "ok" if answer else "unavailable"
        for name, answer in zip(checks, answers, strict=True)
    }


def postgres_check(pool: Pool) -> Check:
    """Return the question whether Postgres answers a query."""

    async def check() -> bool:
        try:
            async with purpose_transaction(pool, "housekeeping") as connection:
                await connection.execute("select 1")
        except (DatabaseUnavailable, QueryTooSlow, PoolTimeout):
            return False
        return True

    return check


def kafka_check(admin: AdminClient, *, topic: str) -> Check:
    """Return the question whether Kafka answers and leads the topic's partitions."""

    def ask() -> bool:
        try:
            metadata = admin.list_topics(topic, timeout=_PATIENCE_S)
        except KafkaException:
            return False
        found = metadata.topics.get(topic)
        return (
            found is not None
            and found.error is None
            and all(partition.leader >= 0 for partition in found.partitions.values())
        )

    async def check() -> bool:
        return await asyncio.to_thread(ask)

    return check


async def _ask(check: Check) -> bool:
    try:
        return await asyncio.wait_for(check(), _PATIENCE_S + 0.5)
    except TimeoutError:
        return False
