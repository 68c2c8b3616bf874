"""Handing over what is to be sealed: an insert into evidence_inbox, in the caller's transaction.

A record's bytes are made and checked here, once; who seals them puts the number in (`head`):

    {"body":{…},"commitment":"","controls":[…],"id":"…","kind":"verdict","policy":0,
     "schema":"betrace.compliance/1","seq":            ◄─ head ends here
                                           17,"tenant":"…","time_ms":1795000000123}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.types.json import Jsonb

from api.evidence.model import Offer
from api.evidence.statements import statement
from udfs.evidence.canonical import MAX_INT
from udfs.evidence.commitments import SALT_BYTES, Payload, commit
from udfs.evidence.record_codec import encode_record
from udfs.evidence.records import Coverage, KeyChange, Record, outcome_of
from udfs.evidence.tally import SUMMED


@dataclass(frozen=True, slots=True)
class Refused:
    """An offer that cannot be a record, and why."""

    offer: Offer
    detail: str


def offer(
    connection: Connection[Any],
    offers: Sequence[Offer],
    *,
    salt: Callable[[int], bytes] = token_bytes,
) -> list[Refused]:
    """Hand over what is to be sealed, for any tenants, in the caller's transaction.

    connection: of the worker's role. What was offered before is sealed once all the same; what is
    sealed already is not taken again. Offers for tenants that are gone or going are passed over.
    The order of the offers is that of the log. Returns those that `encode_record` would refuse.
    """
    columns, refused = _columns(offers, salt)
    if columns:
        connection.execute(statement("offer"), columns)
    return refused


async def offer_async(
    connection: AsyncConnection[Any],
    offers: Sequence[Offer],
    *,
    salt: Callable[[int], bytes] = token_bytes,
) -> list[Refused]:
    """Do as `offer`, on an asynchronous connection."""
    columns, refused = _columns(offers, salt)
    if columns:
        await connection.execute(statement("offer"), columns)
    return refused


def _columns(
    offers: Sequence[Offer], salt: Callable[[int], bytes]
) -> tuple[dict[str, list[Any]], list[Refused]]:
    refused: list[Refused] = []
    rows: list[tuple[Any, ...]] = []
    for each in offers:
        try:
            rows.append(_row(each, salt))
        except ValueError as error:
            refused.append(Refused(each, str(error)))
    columns = [list(column) for column in zip(*rows, strict=True)]
    return dict(zip(_COLUMNS, columns, strict=False)), refused


def head_of(offer: Offer, *, commitment: str) -> bytes:
    """Return the canonical bytes of the record up to its number.

    Raises ValueError for what cannot be a record.
    """
    tenant = str(offer.tenant)
    record = Record(
        seq=MAX_INT,
        tenant=tenant,
        id=offer.id,
        time_ms=offer.time_ms,
        controls=tuple(sorted(set(offer.controls))),
        body=offer.body,
        policy=offer.policy,
        commitment=commitment,
    )
    if "\0" in offer.id:
        raise ValueError("id: a NUL cannot be stored")
    if isinstance(offer.body, KeyChange):
        raise ValueError("keys are put into the log by who seals it")
    tail = f'{MAX_INT},"tenant":"{tenant}","time_ms":{offer.time_ms}}}'
    return encode_record(record).removesuffix(tail.encode())


_COLUMNS: Final = (
    *("tenants", "kinds", "ids", "times", "controls", "outcomes", "rules", "versions", "traces"),
    *("policies", "heads", "payloads", "salts", "counts"),
)


def _row(offer: Offer, salt: Callable[[int], bytes]) -> tuple[Any, ...]:
    """Return what an offer is in the table, in the order of _COLUMNS. Raises ValueError."""
    body = offer.body
    payload = None if offer.personal is None else commit(offer.personal, salt=salt(SALT_BYTES))
    rule = getattr(body, "rule", None)
    trace_id = getattr(body, "trace_id", "")
    return (
        offer.tenant,
        body.kind.value,
        offer.id,
        offer.time_ms,
        " ".join(sorted(set(offer.controls))),
        outcome_of(body),
        rule and rule.id,
        rule and rule.version,
        bytes.fromhex(trace_id) if trace_id else None,
        offer.policy,
        head_of(offer, commitment=payload.commitment if payload else ""),
        *_apart(payload),
        Jsonb(_numbers(body)) if isinstance(body, Coverage) else None,
    )


def _apart(payload: Payload | None) -> tuple[str | None, bytes | None]:
    return (payload.text, payload.salt) if payload else (None, None)


def _numbers(body: Coverage) -> dict[str, int]:
    return {name: getattr(body, name) for name in ("from_ms", "to_ms", *SUMMED)}


def tenants_with_offers(connection: Connection[Any]) -> list[UUID]:
    """Return the tenants for which something is to be sealed."""
    return [row["tenant_id"] for row in connection.execute(statement("waiting"))]
