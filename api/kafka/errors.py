"""Errors of librdkafka in the log: each kind once in a while, not at every attempt."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError

_QUIET_S = 10.0

log = structlog.get_logger(__name__)


class ErrorLog:
    """An error callback. The client tries again by itself, several times a second."""

    def __init__(self, client: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._logged_at_s: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Log the error, unless one of its kind was logged within the last 10 s."""
        now_s = self._monotonic()
        if now_s - self._logged_at_s.get(error.code(), -_QUIET_S) < _QUIET_S:
            return
        self._logged_at_s[error.code()] = now_s
        log.warning("kafka.error", client=self._client, error=error.str(), fatal=error.fatal())
