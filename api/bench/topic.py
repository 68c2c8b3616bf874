"""Writing records to the topic of spans as `ingest` does: headers, lanes, heartbeats.

librdkafka (confluent-kafka) rather than the client of the product: the generator must cost as
little as possible of a machine that it shares with what it measures.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, Message, Producer

from api.kafka.topics import MAX_MESSAGE_BYTES
from udfs.lanes import partition_of
from udfs.payload import compress

HEARTBEAT_EVERY_S = 0.25
_QUEUE_KBYTES = 256 * 1024
_BATCH_BYTES = 2 * 1024 * 1024


class SpansLost(Exception):
    """Records were not written, so that nothing that follows from the load would be true."""


class SpansTopic:
    """A producer of span records of one tenant."""

    def __init__(self, *, bootstrap: str, topic: str, tenant: str, partitions: int) -> None:
        self._topic = topic
        self._tenant = tenant.encode()
        self._partitions = partitions
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 20,
                "batch.size": _BATCH_BYTES,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "queue.buffering.max.kbytes": _QUEUE_KBYTES,
                "enable.idempotence": True,
                "delivery.report.only.error": True,
            }
        )

    def write(self, payload: bytes, *, lane: int, spans: int) -> None:
        """Hand over one record; waits while the queue is full.

        Raises SpansLost once any record before this one was lost.
        """
        self._produce(
            compress(payload),
            partition=partition_of(lane, partitions=self._partitions),
            headers=[
                ("tenant", self._tenant),
                ("lane", b"%d" % lane),
                ("n", b"%d" % spans),
                ("v", b"1"),
            ],
        )

    def beat(self) -> None:
        """Write a heartbeat into every partition."""
        for partition in range(self._partitions):
            self._produce(b"", partition=partition, headers=[("hb", b"1")])
        self._producer.poll(0)

    def queued(self) -> int:
        """Return how many records the broker has not acknowledged yet."""
        return len(self._producer)

    def flush(self, *, timeout_s: float) -> None:
        """Wait until the broker has everything; raises SpansLost if it does not get it."""
        if self._producer.flush(timeout_s):
            raise SpansLost(f"{len(self._producer)} records unwritten after {timeout_s} s")
        self._check()

    def _produce(
        self, payload: bytes, *, partition: int, headers: list[tuple[str, str | bytes | None]]
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    payload,
                    partition=partition,
                    headers=headers,
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.05)
                self._check()
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(str(error))

    def _check(self) -> None:
        if self._failed:
            raise SpansLost(f"{len(self._failed)} records, the first: {self._failed[0]}")
