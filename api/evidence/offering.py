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
from typing import Any
from uuid import UUID

from psycopg import Connection

from api.evidence.model import Offer


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
    raise NotImplementedError


def tenants_with_offers(connection: Connection[Any]) -> list[UUID]:
    """Return the tenants for which something is to be sealed."""
    raise NotImplementedError
