"""The gate before the door: who sends, whether they may now, and a record of those who may not.

Nothing here waits for Postgres or Redis but the first request with a key that is not known yet.
"""

from __future__ import annotations

from typing import Protocol

from api.ingest.allowance import Allowance
from api.ingest.credentials import (
    Caller,
    Keys,
    MayNotSend,
    Sender,
    Tenants,
    sender_of,
    sender_of_topic,
)
from api.ingest.refusals import Refusal, Refused
from api.limits.buckets import Answer
from api.limits.headers import rate_limit_headers


class Records(Protocol):
    """Where refusals are put on the record."""

    def note(self, refused: Refused, caller: Caller, sender: Sender | None) -> None:
        """Put one down, at once and without waiting. sender: if it is known."""


class NoRecords:
    """Keeps none."""

    def note(self, refused: Refused, caller: Caller, sender: Sender | None) -> None:
        """Do nothing."""


class NoTopics:
    """Knows no tenants: nothing is read from topics."""

    async def sender(self, tenant: str) -> Sender:
        """Know none."""
        raise MayNotSend


_NO_TOPICS = NoTopics()


class Gate:
    """Lets senders in. tenants: of topics that spans are read from."""

    def __init__(
        self, keys: Keys, allowance: Allowance, records: Records, *, tenants: Tenants = _NO_TOPICS
    ) -> None:
        self._keys = keys
        self._allowance = allowance
        self._records = records
        self._tenants = tenants

    async def let_in(self, caller: Caller) -> Sender:
        """Return who sends. Raises Refused, which is on the record then where it is a decision."""
        sender = None
        try:
            sender = await self._known(caller)
            self._pace(sender)
        except Refused as refused:
            if refused.kind in _DECISIONS:
                self._records.note(refused, caller, sender)
            raise
        return sender

    async def let_in_from_topic(self, tenant: str, *, topic: str) -> Sender:
        """Return who sends by a tenant's topic. Raises Refused.

        It is on the record where that is for good: what is over a rate is only taken later.
        """
        try:
            sender = await sender_of_topic(self._tenants, tenant)
        except Refused as refused:
            if refused.kind in _DECISIONS:
                self._records.note(refused, Caller(address=None, route=topic), None)
            raise
        self._pace(sender)
        return sender

    def _pace(self, sender: Sender) -> None:
        """Raise Refused if somebody known is over a limit."""
        _refuse_if_over(self._allowance.look(sender))

    async def _known(self, caller: Caller) -> Sender:
        if not (caller.key and self._keys.knows(caller.key)):
            _refuse_if_over(self._allowance.look_at_stranger(caller.address))
        try:
            return await sender_of(self._keys, caller)
        except Refused as refused:
            if refused.kind is Refusal.UNAUTHENTICATED:
                self._allowance.charge_stranger(caller.address)
            raise


_DECISIONS = frozenset({Refusal.UNAUTHENTICATED, Refusal.FORBIDDEN, Refusal.RATE_LIMITED})


def _refuse_if_over(answer: Answer) -> None:
    if answer.granted:
        return
    over = tuple(level.ask.policy for level in answer.levels if level.wait_s)
    raise Refused(
        Refusal.RATE_LIMITED,
        f"over the rate of {' and '.join(over)}",
        retry_after_s=answer.wait_s,
        policies=over,
        headers=rate_limit_headers(answer),
    )
