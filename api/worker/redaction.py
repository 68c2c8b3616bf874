"""Redaction of spans that nobody has redacted: those that were written to Kafka past `ingest`.

Records of `ingest` name the version of the policy that was applied to them, and are left alone:
rules were judged on what they hold. All others are redacted before anything of them is stored.

Policies and keys are asked for on an event loop of their own, in a thread; spans are redacted by
whoever asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError

from api.database import open_pool
from api.keyring.config import KeyConfig
from api.keyring.wiring import open_keys
from api.redaction.redactors import RedactionUnavailable, Redactors, TenantRedactor
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor
from udfs.wire import betrace_pb2 as wire
from udfs.wire.otlp_lazy_pb2 import SplitRequest

_ANSWER_WITHIN_S: Final = 30.0
_POOL: Final = 2
T = TypeVar("T")


class Versioned(NamedTuple):
    """What redacts for a tenant, and the version of the policy by which it does.

    redact: a request to what may be stored of it, the same object if nothing was found.
    """

    redact: Callable[[bytes], bytes]
    version: int


class RedactSpans(Protocol):
    """Redacts requests of spans of a tenant (UUID text)."""

    def __call__(self, tenant: str, request: bytes) -> bytes:
        """Return a request as it may be stored; the same object if nothing was found.

        Raises RedactionUnavailable.
        """


class WorkerRedactors:
    """Redactors of all tenants for threads. Connects when one is needed first. Thread-safe."""

    def __init__(self, dsn: str, keys: KeyConfig | None) -> None:
        """dsn: of role betrace_worker. keys: None: there are none."""
        self._dsn = dsn
        self._keys = keys
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack = AsyncExitStack()
        self._redactors: Redactors | None = None

    def spans(self, tenant: str, request: bytes) -> bytes:
        """Redact a request of spans; see RedactSpans."""
        return self.versioned(tenant).redact(request)

    def versioned(self, tenant: str) -> Versioned:
        """Return what redacts for a tenant by its policy of now. Raises RedactionUnavailable."""
        redactor = self._of(tenant)

        def redact(request: bytes) -> bytes:
            redacted, _ = redactor.redactor.record(request)
            self._ask(redactor.settle)
            return redacted

        return Versioned(redact, redactor.version)

    def close(self) -> None:
        """Let go of Postgres."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._stack.aclose(), loop).result(_ANSWER_WITHIN_S)
            loop.call_soon_threadsafe(loop.stop)

    def _of(self, tenant: str) -> TenantRedactor:
        self._start()
        redactors = self._redactors
        assert redactors is not None
        return self._ask(lambda: redactors.of(UUID(tenant)))

    def _ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        assert self._loop is not None
        answer = asyncio.run_coroutine_threadsafe(question(), self._loop)
        try:
            return answer.result(_ANSWER_WITHIN_S)
        except TimeoutError as error:
            answer.cancel()
            raise RedactionUnavailable("policies do not answer") from error

    def _start(self) -> None:
        with self._lock:
            if self._loop is not None:
                return
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="redaction", daemon=True).start()
            opening = asyncio.run_coroutine_threadsafe(self._open(), loop)
            self._redactors = opening.result(_ANSWER_WITHIN_S)
            self._loop = loop

    async def _open(self) -> Redactors:
        pool = await self._stack.enter_async_context(
            open_pool(self._dsn, size=_POOL, name="betrace worker redaction")
        )
        keys = open_keys(self._keys, pool)
        return Redactors(pool, keys.ring if keys else None)


class Letters:
    """Redacts dead letters before they are stored, with the defaults and without a key.

    They hold what could not be read, and often do not say whose it is: what is found is removed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Redactor | None = None

    def redact(self, letter: wire.DeadLetter) -> None:
        """Take out of a letter what is found in it. Those of `ingest` were redacted there."""
        if letter.source == "ingest":
            return
        redactor = self._redactor()
        letter.detail = redactor.text(letter.detail)
        letter.content = self._content(redactor, letter.content)

    def _content(self, redactor: Redactor, content: bytes) -> bytes:
        try:
            is_spans = bool(SplitRequest.FromString(content).resource_spans)
        except DecodeError:
            is_spans = False
        return redactor.record(content)[0] if is_spans else redactor.opaque(content)

    def _redactor(self) -> Redactor:
        with self._lock:
            if self._made is None:
                self._made = Redactor(Policy(), None)
            return self._made
