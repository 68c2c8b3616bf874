"""The tenant's dictionary of predicates: the same predicate has the same number for ever.

Numbers are what spans are matched by; rules share them through the hash of the predicate's
canonical text. They are only ever added, one after the other, under the lock of the tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from api.database import Connection, queries
from api.problems import ApiError

_HASH_BYTES = 8


class Predicate(Protocol):
    """What the dictionary needs of a compiled span predicate."""

    @property
    def canonical(self) -> str:
        """Its one text."""

    @property
    def hash(self) -> int:
        """64-bit hash of the canonical text, unsigned."""


async def number_predicates(
    connection: Connection, predicates: Sequence[Predicate]
) -> tuple[int, ...]:
    """Return the numbers of the predicates, in their order, giving new ones where needed.

    The caller holds the lock of the tenant. Raises ApiError 409 if two texts share a hash.
    """
    hashes = [_stored(predicate) for predicate in predicates]
    rows = queries("rules").numbers_of(connection, hashes=hashes)
    known = {bytes(row["hash"]): (row["number"], row["canonical"]) async for row in rows}
    next_number: int = await queries("rules").next_number(connection)
    for predicate, stored in zip(predicates, hashes, strict=True):
        _, canonical = known.setdefault(stored, (next_number, predicate.canonical))
        if canonical != predicate.canonical:
            raise _collision(predicate.canonical, canonical)
        if known[stored][0] == next_number:
            await queries("rules").insert_number(
                connection, number=next_number, hash=stored, canonical=predicate.canonical
            )
            next_number += 1
    return tuple(known[stored][0] for stored in hashes)


def _stored(predicate: Predicate) -> bytes:
    return predicate.hash.to_bytes(_HASH_BYTES, "big")


def _collision(first: str, second: str) -> ApiError:
    return ApiError(
        409,
        "rule.predicate_collision",
        "Two span tests of this tenant have the same fingerprint; write one of them differently.",
        span_tests=[first, second],
    )
