"""Redaction at the door: nothing that a tenant's policy takes out is written to any topic.

A request is redacted as soon as it is read, before it is taken apart: what is too large then, is
too large for Kafka. Refused spans and requests go to the dead letters with what can be read of them
redacted, and without what cannot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

from api.ingest.dead_letters import MAX_CONTENT_BYTES
from api.ingest.metrics import IngestMetrics
from api.ingest.refusals import Refusal, Refused
from api.ingest.rejects import Reject
from api.ingest.split import as_it_is
from api.redaction.counting import RedactionCounts
from api.redaction.redactors import RedactionUnavailable, Redactors
from udfs.redaction import kinds
from udfs.redaction.counts import Tally
from udfs.redaction.redactor import Redactor
from udfs.redaction.strategies import Strategy
from udfs.redaction.tokens import REMOVED

_RETRY_AFTER_S = 2.0
_MAX_JSON_BYTES: Final = 4 * 1024 * 1024
"""Of a refused JSON body that is read once more for its dead letter."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


class Redacting(Protocol):
    """What the door asks of redaction for one request."""

    policy: bytes
    """The version of the policy, as it stands in the header of records; empty: none was applied."""

    def redact(self, request: bytes) -> bytes:
        """Return a serialized request without what must not go on; the same object if all may."""

    def reject(self, reject: Reject) -> Reject:
        """Return what may be kept of something refused."""

    def reject_json(self, reject: Reject) -> Reject:
        """Return the same of something that was sent as JSON."""

    async def settle(self) -> None:
        """Return when what was done may leave. Raises Refused, then it must not."""


class Redactions(Protocol):
    """Gives the door what redacts for a tenant."""

    async def of(self, tenant: str) -> Redacting:
        """Return it for one request. Raises Refused: without it nothing is taken in."""


class _Nothing:
    policy = b""
    redact = staticmethod(as_it_is)

    def reject(self, reject: Reject) -> Reject:
        return reject

    def reject_json(self, reject: Reject) -> Reject:
        return reject

    async def settle(self) -> None:
        return


class NoRedaction:
    """Takes nothing out. For measuring, and for what is redacted already."""

    async def of(self, _tenant: str) -> Redacting:
        """Return what leaves all as it is."""
        return _Nothing()


class StoredRedactions:
    """Redacts with the policies and keys of tenants, and counts what that does."""

    def __init__(
        self, redactors: Redactors, metrics: IngestMetrics, counts: RedactionCounts
    ) -> None:
        self._redactors = redactors
        self._metrics = metrics
        self._counts = counts

    async def of(self, tenant: str) -> Redacting:
        """Return the redaction of one request. Raises Refused: UNAVAILABLE."""
        try:
            tenant_id = UUID(tenant)
            of_tenant = await self._redactors.of(tenant_id)
            redactor, version = of_tenant.redactor, of_tenant.version
            count = partial(self._counts.add, tenant_id, version)
            return OneRequest(redactor, version, of_tenant.settle, self._metrics, count)
        except RedactionUnavailable as error:
            raise _unavailable() from error


def _uncounted(_tally: Tally) -> None:
    return


class OneRequest:
    """The redaction of one request. `redact` and `reject` may be called by any thread."""

    def __init__(
        self,
        redactor: Redactor,
        version: int,
        settle: Callable[[], Awaitable[None]],
        metrics: IngestMetrics,
        count: Callable[[Tally], None] = _uncounted,
    ) -> None:
        """version: of the policy. settle: keeps tokens; it may raise RedactionUnavailable.

        count: is told what was done.
        """
        self._redactor = redactor
        self._settle = settle
        self._metrics = metrics
        self._count = count
        self._tally = Tally()
        self.policy = b"%d" % version

    def redact(self, request: bytes) -> bytes:
        """Return a serialized request, which decodes, as it may go on."""
        return self._redactor.tallied(request, self._tally)

    def reject(self, reject: Reject) -> Reject:
        """Return a refused span without what can be found in it.

        One that does not decode is removed whole if there may be anything in it.
        """
        return self._kept(reject, self._redactor.opaque)

    def reject_json(self, reject: Reject) -> Reject:
        """Return the same of JSON; what is none is removed whole."""
        return self._kept(reject, lambda content: _redacted_json(content, self._redactor))

    async def settle(self) -> None:
        """Wait until the tokens of what was done are kept, and count it.

        Raises Refused: UNAVAILABLE.
        """
        done, self._tally = self._tally, Tally()
        try:
            await self._settle()
        except RedactionUnavailable as error:
            raise _unavailable() from error
        for kind, count in done.by_kind.items():
            label = "custom" if kind.startswith(kinds.CUSTOM_PREFIX) else kind
            self._metrics.redacted.labels(label).inc(count)
        self._metrics.redaction_failures.inc(done.failures + done.unreadable)
        self._count(done)

    def _kept(self, reject: Reject, redact: Callable[[bytes], bytes]) -> Reject:
        # What an error quotes is what was sent.
        detail = self._redactor.text(_QUOTED.sub("…", reject.detail))
        return replace(reject, detail=detail, content=redact(reject.content))


def _redacted_json(content: bytes, redactor: Redactor) -> bytes:
    if not content:
        return content
    try:
        if len(content) > _MAX_JSON_BYTES:
            return REMOVED.encode()
        value = json.loads(content)
        return json.dumps(_Json(redactor).of(value)).encode()[:MAX_CONTENT_BYTES]
    except (ValueError, RecursionError):
        return REMOVED.encode()


@dataclass(frozen=True, slots=True)
class _Json:
    """Redacts parsed OTLP/JSON, whatever its shape: `{"key": …, "value": …}` is an attribute."""

    redactor: Redactor

    def of(self, value: Any, key: str = "") -> Any:
        """Return a value as it may be kept. key: of the attribute around it."""
        match value:
            case dict() if isinstance(value.get("key"), str) and "value" in value:
                inner = value["key"]
                path = f"{key}.{inner}" if key else inner
                return {
                    self.redactor.text(name): self.of(one, path if name == "value" else "")
                    for name, one in value.items()
                }
            case dict():
                return {
                    self.redactor.text(str(name)): self.of(one, key or _key_of(name))
                    for name, one in value.items()
                }
            case list():
                return [self.of(one, key) for one in value]
            case str():
                return self.redactor.attribute(key, value) if key else self.redactor.text(value)
            case int() | float() if key:
                whole = self.redactor.strategy_for(key)
                keeps = whole in (None, Strategy.ALLOW)
                return value if keeps else self.redactor.attribute(key, str(value))
        return value


_SPELLINGS: Final = frozenset(
    ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue", "arrayValue")
)


def _key_of(name: str) -> str:
    """Return a member's name as a key; those of OTLP's own values say nothing of what they hold."""
    return "" if name in _SPELLINGS else name


def _unavailable() -> Refused:
    return Refused(
        Refusal.UNAVAILABLE,
        "spans cannot be redacted now, and are not taken without that",
        retry_after_s=_RETRY_AFTER_S,
    )
