"""Putting what could not be used through the door again.

It is the door of `ingest`: the spans are checked and split by lane as all others are, and come in
with the time of now. A span that was taken before is taken for a repetition, so that putting the
same letter back twice changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from api.dead_letters.model import DeadLetter
from api.ingest.allowance import allowance_alone
from api.ingest.credentials import Sender
from api.ingest.door import Door, Encoding, read
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.redaction import NoRedaction, StoredRedactions
from api.ingest.refusals import Refused
from api.ingest.rejects import describe
from api.ingest.split import Malformed
from api.kafka.producer import Producer
from api.kafka.record_at import KafkaSilent, record_at
from api.kafka.topics import TopicNames
from api.problems import ApiError, unavailable
from api.redaction.counting import RedactionCounts
from api.redaction.redactors import Redactors
from udfs.payload import PayloadUnreadable, expand

_CLOSE_S = 5.0
_JSON_STARTS = b"{"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it."""

    spans: int
    refused: int
    """Spans that were refused again, and are dead letters again."""


class Replayer:
    """Puts dead letters back. Connects to Kafka when the first one comes. One event loop."""

    def __init__(
        self, kafka: str, topics: TopicNames, redactors: Redactors, counts: RedactionCounts
    ) -> None:
        self._kafka = kafka
        self._topics = topics
        self._redactors = redactors
        self._counts = counts
        self._producer: Producer | None = None
        self._door: Door | None = None

    async def replay(self, tenant: str, letter: DeadLetter) -> Replayed:
        """Put a letter's spans into the stream, and return when Kafka has them.

        Raises ApiError: 409 if it holds no spans or they are gone, 422 if they are refused again,
        503 if Kafka does not answer.
        """
        body = await self._body(tenant, letter)
        encoding = Encoding.JSON if body.startswith(_JSON_STARTS) else Encoding.PROTOBUF
        _refuse_hopeless(tenant, body, encoding)
        door = self._open()
        try:
            lease = door.lease()
            door.grow(lease, len(body))
            taken = await door.take(Sender(tenant), body, encoding=encoding, lease=lease)
        except Refused as refused:
            raise unavailable("kafka.unavailable", str(refused)) from refused
        return Replayed(taken.received - taken.rejected, taken.rejected)

    def close(self) -> None:
        """Let go of Kafka."""
        if self._door is not None:
            self._door.close()
        if self._producer is not None:
            self._producer.close(timeout_s=_CLOSE_S)

    def _open(self) -> Door:
        if self._door is None:
            limits = IngestLimits()
            self._producer = Producer(
                self._kafka,
                client_id="betrace-api-replay",
                delivery_timeout_ms=limits.delivery_timeout_ms,
            )
            self._producer.start()
            metrics = IngestMetrics(CollectorRegistry())
            redactions = StoredRedactions(self._redactors, metrics, self._counts)
            self._door = Door(
                producer=self._producer,
                topics=self._topics,
                limits=limits,
                metrics=metrics,
                allowance=allowance_alone(limits),
                redactions=redactions if limits.redact else NoRedaction(),
            )
        return self._door

    async def _body(self, tenant: str, letter: DeadLetter) -> bytes:
        """Return the export request that a letter is about, whole."""
        place = self._place(tenant, letter)
        if place is not None:
            try:
                record = await asyncio.to_thread(
                    record_at,
                    self._kafka,
                    place,
                    partition=letter.partition,
                    offset=letter.offset,
                )
            except KafkaSilent as error:
                raise unavailable("kafka.unavailable", "Kafka does not answer.") from error
            if record is not None and self._is_of(tenant, place, record.headers):
                return _opened(record.value)
        elif letter.code != "otlp.malformed":
            raise ApiError(
                409,
                "dead_letter.no_spans",
                "This letter is about a single span that was refused for what it says, or about a "
                "record that holds no spans. Mend its sender, and discard the letter.",
            )
        if letter.content is None or letter.cut:
            raise ApiError(
                409,
                "dead_letter.gone",
                "Only the first 16 KiB were kept, and Kafka no longer has the record. "
                "It cannot be put back.",
            )
        return _opened(letter.content)

    def _place(self, tenant: str, letter: DeadLetter) -> str | None:
        """Return the topic on which the whole record lies, if it lies on one of spans."""
        if letter.source == "match":
            return self._topics.spans
        if letter.topic and self._topics.raw_tenant(letter.topic) == tenant:
            return letter.topic
        return None

    def _is_of(self, tenant: str, topic: str, headers: dict[str, bytes]) -> bool:
        return topic != self._topics.spans or headers.get("tenant") == tenant.encode()


def _refuse_hopeless(tenant: str, body: bytes, encoding: Encoding) -> None:
    """Raise ApiError 422 if not one span would be taken: it would only become a letter again."""
    try:
        divided = read(tenant, body, encoding)
    except Malformed as error:
        raise ApiError(422, "dead_letter.refused", f"It is refused again: {error}.") from error
    if not any(part.span_count for part in divided.parts.values()):
        reasons = describe(divided.rejects)
        raise ApiError(422, "dead_letter.refused", f"Every span is refused again: {reasons}.")


def _opened(value: bytes) -> bytes:
    try:
        return expand(value)
    except PayloadUnreadable as error:
        raise ApiError(
            409,
            "dead_letter.unreadable",
            f"The record cannot be opened: {error}. It cannot be put back; discard the letter.",
        ) from error
