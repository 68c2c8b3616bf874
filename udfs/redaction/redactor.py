"""The way in: a redactor of one tenant, for records of spans and for texts."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from udfs.payload import PayloadUnreadable, compress, expand
from udfs.redaction.counts import Counts, Tally
from udfs.redaction.places import Redaction, Scalar
from udfs.redaction.policy import Policy
from udfs.redaction.rulings import Rulings
from udfs.redaction.strategies import Hand, Strategy
from udfs.redaction.tokens import REMOVED, RedactionKey
from udfs.redaction.vault import NoVault, Vault
from udfs.wire.otlp_lazy_pb2 import SplitRequest, SplitScopeSpans

_NO_VAULT: Final = NoVault()
_BLOCK_SPANS: Final = 8
"""Spans looked at together before one by one: where few hold anything, calls are what costs."""


class Prepared:
    """A policy with its patterns compiled, which takes some 50 ms: for all tenants that have it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.rulings = Rulings(policy)
        self.scanner = self.rulings.scanner()


class Redactor:
    """Applies a policy with a tenant's key.

    Keep it as long as policy and key stay the same. It remembers nothing of what it sees, but for
    the names of keys. Safe for several threads.
    """

    def __init__(
        self,
        policy: Policy | Prepared,
        key: RedactionKey | None,
        *,
        vault: Vault = _NO_VAULT,
        version: int | None = None,
    ) -> None:
        """key: None: there is none, and what would need one is removed.

        version: with which results go; None: that of the policy.
        """
        prepared = policy if isinstance(policy, Prepared) else Prepared(policy)
        self._version = prepared.policy.version if version is None else version
        self._rulings = prepared.rulings
        self._scanner = prepared.scanner
        self._hand = Hand(key, vault)

    def record(self, value: bytes) -> tuple[bytes, Counts]:
        """Redact the value of a record of spans: a request, plain or as a frame (udfs.payload).

        Returns the very same object if nothing was found, and an empty request for one that does
        not decode, which might hold anything.
        """
        tally = Tally()
        return self.tallied(value, tally), tally.counts(self._version)

    def tallied(self, value: bytes, tally: Tally) -> bytes:
        """Redact the value of a record, and count into a tally."""
        try:
            request = expand(value)
            if not self._scanner.may_hold(request):
                return value
            redacted = self._request(SplitRequest.FromString(request), tally)
        except (PayloadUnreadable, DecodeError):
            tally.unreadable += 1
            return b""
        if redacted is None:
            return value
        return redacted if request is value else compress(redacted)

    def text(self, text: str) -> str:
        """Redact a note, a line of a log, an error or a cell of an export."""
        return self._redaction(Tally()).text(text)

    def attribute(self, key: str, text: str) -> str:
        """Return what the value of an attribute becomes: for what rules compare it with."""
        ruling = self._rulings.of(key, path=key)
        return self._redaction(Tally()).text(text, path=key, ruling=ruling)

    def comparand(self, key: str, value: Scalar) -> Scalar:
        """Return what an attribute with that value holds once it is redacted."""
        ruling = self._rulings.of(key, path=key)
        return self._redaction(Tally()).scalar(value, path=key, ruling=ruling)

    def keeps_equality(self, key: str, value: Scalar) -> bool:
        """Whether what equals a value of an attribute still does, and nothing else comes to."""
        whole = self.strategy_for(key)
        if whole is not None:
            return whole.keeps_equality
        if not isinstance(value, str):
            return True
        found = self.kinds_in(key, value)
        return all(self._hand.really(self._rulings.strategy_of(k)).keeps_equality for k in found)

    def strategy_for(self, key: str) -> Strategy | None:
        """Return what becomes of every value of an attribute; None: only what is found in it goes.

        What needs a key where there is none is removed.
        """
        ruling = self._rulings.of(key, path=key)
        if ruling.untouched:
            return Strategy.ALLOW
        return None if ruling.whole is None else self._hand.really(ruling.whole)

    def kinds_in(self, key: str, text: str) -> frozenset[str]:
        """Return the kinds of what would be replaced in the value of an attribute."""
        tally = Tally()
        ruling = self._rulings.of(key, path=key)
        self._redaction(tally).text(text, path=key, ruling=ruling)
        return frozenset(tally.by_kind)

    def opaque(self, raw: bytes) -> bytes:
        """Return bytes that nobody can decode as they are, or what says that they were removed.

        For dead letters: nothing can be taken out of what cannot be read.
        """
        return REMOVED.encode() if self._scanner.may_hold(raw) else raw

    def _request(self, request: SplitRequest, tally: Tally) -> bytes | None:
        """Redact a request that was taken apart; None if nothing changed."""
        redaction = self._redaction(tally)
        before = tally.spans, tally.unreadable, tally.unknown_fields
        if _drops_unknown_fields(request):
            tally.unknown_fields += 1
        for of_resource in request.resource_spans:
            self._part(redaction, of_resource, "resource", Resource(), tally)
            self._schema(redaction, of_resource, tally)
            for of_scope in of_resource.scope_spans:
                self._part(redaction, of_scope, "scope", InstrumentationScope(), tally)
                self._schema(redaction, of_scope, tally)
                self._spans(redaction, of_scope, tally)
        if before == (tally.spans, tally.unreadable, tally.unknown_fields):
            return None
        return bytes(request.SerializeToString())

    def _spans(self, redaction: Redaction, of_scope: SplitScopeSpans, tally: Tally) -> None:
        spans = of_scope.spans
        unreadable: list[int] = []
        for first in range(0, len(spans), _BLOCK_SPANS):
            block = spans[first : first + _BLOCK_SPANS]
            if not self._scanner.may_hold(b"".join(block)):
                continue
            for number, raw in enumerate(block, first):
                if self._scanner.may_hold(raw):
                    redacted = self._message(redaction, raw, Span(), "span.", tally)
                    if redacted is None:
                        unreadable.append(number)
                    elif redacted is not raw:
                        spans[number] = redacted
        for number in reversed(unreadable):
            del spans[number]

    def _part(
        self, redaction: Redaction, holder: Message, field: str, empty: Message, tally: Tally
    ) -> None:
        raw: bytes = getattr(holder, field)
        if self._scanner.may_hold(raw):
            redacted = self._message(redaction, raw, empty, f"{field}.", tally)
            if redacted is not raw:
                setattr(holder, field, redacted or b"")

    def _schema(self, redaction: Redaction, holder: Message, tally: Tally) -> None:
        raw: bytes = holder.schema_url  # type: ignore[attr-defined]
        redacted = redaction.raw(raw, path="schema_url")
        if redacted is not raw:
            holder.schema_url = redacted  # type: ignore[attr-defined]
            tally.spans += 1

    def _message(
        self, redaction: Redaction, raw: bytes, empty: Message, place: str, tally: Tally
    ) -> bytes | None:
        """Redact a serialized message; the same object if nothing changed, None if unreadable."""
        try:
            empty.ParseFromString(raw)
        except DecodeError:
            tally.unreadable += 1
            return None
        before = tally.by_kind.total()
        dropped = _drops_unknown_fields(empty)
        redaction.message(empty, place=place)
        if not dropped and before == tally.by_kind.total():
            return raw
        tally.unknown_fields += dropped
        tally.spans += 1
        return empty.SerializeToString()

    def _redaction(self, tally: Tally) -> Redaction:
        return Redaction(rulings=self._rulings, scanner=self._scanner, hand=self._hand, tally=tally)


def _drops_unknown_fields(message: Message) -> bool:
    """Drop the fields that the schema does not name, since nobody can say what they hold."""
    before = message.ByteSize()
    message.DiscardUnknownFields()  # type: ignore[attr-defined]  # missing from the stubs
    return message.ByteSize() != before
