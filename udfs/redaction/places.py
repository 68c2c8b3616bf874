"""Walks a span, a resource or a scope, and redacts every string that it has.

The walk follows the schema: any field that holds text is read, also one that a later release of
OTLP adds. Ids of spans and traces are no text. Numbers are only touched where the key says what
they are; whatever a detector finds, it finds in text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableSequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from udfs.redaction import kinds
from udfs.redaction.counts import Replacement, Tally
from udfs.redaction.rulings import AS_TEXT, Ruling, Rulings
from udfs.redaction.scanner import Scanner
from udfs.redaction.strategies import Hand, Strategy, round_down
from udfs.redaction.tokens import REMOVED, is_protected

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_MAX_ROUNDS: Final = 10
"""More are only needed where a pattern of the tenant's finds what its own strategy writes."""
_KEY_VALUE: Final = KeyValue.DESCRIPTOR
Scalar = str | bool | int | float


class Redaction:
    """What one call of a `Redactor` uses: the means of the policy, and a tally of its own."""

    def __init__(self, *, rulings: Rulings, scanner: Scanner, hand: Hand, tally: Tally) -> None:
        self._rulings = rulings
        self._scanner = scanner
        self._hand = hand
        self._tally = tally

    # -- texts -------------------------------------------------------------------------------------

    def text(self, text: str, *, path: str = "", ruling: Ruling = AS_TEXT) -> str:
        """Return a text without what is found in it, or without all of it."""
        raw = text.encode(errors="surrogatepass")
        redacted = self.raw(raw, path=path, ruling=ruling)
        return text if redacted is raw else redacted.decode(errors="replace")

    def raw(self, raw: bytes, *, path: str = "", ruling: Ruling = AS_TEXT) -> bytes:
        """Do the same with bytes; the very same object if nothing was found."""
        if ruling.untouched or not raw:
            return raw
        if ruling.whole is not None:
            return self._replaced(ruling.whole, ruling.kind, raw, path)
        redacted = raw
        for _ in range(_MAX_ROUNDS):
            after = self._round(redacted, path, ruling)
            if after == redacted:
                return raw if redacted == raw else redacted
            redacted = after
        self._tally.failures += 1
        return REMOVED.encode()

    def _round(self, raw: bytes, path: str, ruling: Ruling) -> bytes:
        """Replace what is found. What stood beside it may be found only then, hence the rounds."""
        pieces: list[bytes] = []
        at = 0
        for hit in self._scanner.hits(raw, ruling.within):
            strategy = self._rulings.strategy_of(hit.kind)
            pieces += (raw[at : hit.start], self._replaced(strategy, hit.kind, hit.clear, path))
            at = hit.end
        return b"".join((*pieces, raw[at:])) if pieces else raw

    def _replaced(self, strategy: Strategy, kind: str, clear: bytes, path: str) -> bytes:
        if is_protected(clear):
            return clear
        try:
            replaced = self._hand.replace(strategy, kind, clear)
        except Exception:  # noqa: BLE001  whatever fails, the value must not stay
            self._tally.failures += 1
            replaced = REMOVED.encode()
        if replaced != clear:
            self._tally.replaced(Replacement(kind, strategy, path, clear))
        return replaced

    def scalar(self, value: Scalar, *, path: str, ruling: Ruling) -> Scalar:
        """Return what the value of an attribute becomes."""
        match value:
            case bool():
                message = AnyValue(bool_value=value)
            case str():
                return self.text(value, path=path, ruling=ruling)
            case int() if not _MIN_INT <= value <= _MAX_INT:
                message = AnyValue(double_value=float(value))
            case int():
                message = AnyValue(int_value=value)
            case _:
                message = AnyValue(double_value=value)
        self._value(message, "", path, ruling)
        field = message.WhichOneof("value")
        after: Scalar = getattr(message, field or "string_value")
        return after

    # -- messages ----------------------------------------------------------------------------------

    def message(self, message: Message, *, place: str = "") -> None:
        """Redact a message in place. place: what it is called, before the names of its fields."""
        for field, value in message.ListFields():
            path = f"{place}{field.name}"
            if field.message_type is _KEY_VALUE:
                self._attributes(value, place)
            elif field.message_type is not None:
                for item in value if field.label == FieldDescriptor.LABEL_REPEATED else (value,):
                    self.message(item, place=f"{path}.")
            elif field.type == FieldDescriptor.TYPE_STRING:
                self._field(message, field, value, path)

    def _field(self, message: Message, field: Any, value: Any, path: str) -> None:
        if field.label == FieldDescriptor.LABEL_REPEATED:
            self._texts(value, path)
            return
        redacted = self.text(value, path=path)
        if redacted is not value:
            setattr(message, field.name, redacted)

    def _texts(self, texts: MutableSequence[str], path: str) -> None:
        for number, text in enumerate(texts):
            texts[number] = self.text(text, path=path)

    def _attributes(
        self,
        attributes: Iterable[KeyValue],
        place: str,
        *,
        above: str = "",
        ruling: Ruling | None = None,
    ) -> None:
        """Redact attributes, or the entries of a map: those have the path of the map above them.

        ruling: of the map, if it holds for all that is in it.
        """
        for attribute in attributes:
            key = attribute.key
            path = f"{above}.{key}" if above else key
            of_key = ruling or self._rulings.of(key, path=path, parent=above.rpartition(".")[2])
            if attribute.HasField("value"):
                self._value(attribute.value, place, path, of_key)
            if not of_key.untouched and not self._scanner.is_clean_key(key):
                attribute.key = self.text(key, path=f"{place}key")

    def _value(self, value: AnyValue, place: str, path: str, ruling: Ruling) -> None:
        if ruling.untouched:
            return
        match value.WhichOneof("value"):
            case "string_value":
                text = value.string_value
                redacted = self.text(text, path=path, ruling=ruling)
                if redacted is not text:
                    value.string_value = redacted
            case "bytes_value":
                raw = value.bytes_value
                replaced = self.raw(raw, path=path, ruling=ruling)
                if replaced is not raw:
                    value.bytes_value = replaced
            case "array_value":
                for item in value.array_value.values:
                    self._value(item, place, f"{path}[]", ruling.of_items)
            case "kvlist_value":
                inherited = ruling if ruling.whole is not None else None
                entries = value.kvlist_value.values
                self._attributes(entries, place, above=path, ruling=inherited)
            case "int_value" | "double_value" | "bool_value" as field:
                self._number(value, field, path, ruling)

    def _number(self, value: AnyValue, field: str, path: str, ruling: Ruling) -> None:
        """Replace a number or boolean whose key says what it is."""
        if ruling.whole is None or (field == "bool_value" and not ruling.even_switches):
            return
        clear = getattr(value, field)
        if ruling.whole is Strategy.GENERALIZE and field != "bool_value":
            general = _general_number(ruling.kind, clear)
            if general != clear:
                shown = str(clear).encode()
                self._tally.replaced(Replacement(ruling.kind, ruling.whole, path, shown))
                setattr(value, field, general)
            return
        shown = str(clear).lower().encode()
        value.string_value = self._replaced(ruling.whole, ruling.kind, shown, path).decode()


def _general_number(kind: str, number: float) -> float:
    """Return a whole degree, or one digit that counts; integers stay integers."""
    if not math.isfinite(number):
        return number
    if kind == kinds.LOCATION:
        return type(number)(math.floor(number))
    return type(number)(round_down(number))
