"""Heartbeats: an empty record into every partition of `.spans`, four times a second.

Event time is the broker's clock, and stands still in a partition without records. In a thread of
its own, so that a busy event loop does not hold back everybody's verdicts.
"""

from __future__ import annotations

import threading
import time

from api.kafka.producer import DeliveryFailed, Headers, Producer, ProducerUnavailable
from udfs.lanes import PARTITIONS

PERIOD_S = 0.25
_HEADERS: Headers = [("hb", b"1")]


class Heartbeats:
    """Beats from `start` to `stop`. A partition whose last beat is still due gets no other."""

    def __init__(self, producer: Producer, *, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._due = [False] * PARTITIONS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest-heartbeats")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._stop.wait(max(next_s - time.monotonic(), 0.0)):
            self._beat()
            next_s = max(next_s + PERIOD_S, time.monotonic())

    def _beat(self) -> None:
        for partition in range(PARTITIONS):
            if not self._due[partition]:
                self._due[partition] = True
                self._send(partition)

    def _send(self, partition: int) -> None:
        def done(_: DeliveryFailed | None) -> None:
            self._due[partition] = False

        try:
            self._producer.send(self._topic, b"", partition=partition, headers=_HEADERS, done=done)
        except ProducerUnavailable:
            self._due[partition] = False
