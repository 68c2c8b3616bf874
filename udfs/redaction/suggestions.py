"""Keys that a policy ought to name: what looks personal by its name, or mostly is by its values.

Guesses, for a person to look at: nothing is done by itself. Pure, over records read again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from udfs.otlp import any_value
from udfs.payload import expand_readable
from udfs.redaction import kinds
from udfs.redaction.conventions import is_conventional
from udfs.redaction.keys import words_of
from udfs.redaction.policy import Policy
from udfs.redaction.preview import masked_sample
from udfs.redaction.redactor import Redactor
from udfs.redaction.rulings import Rulings
from udfs.redaction.strategies import Strategy
from udfs.redaction.tokens import RedactionKey

MIN_VALUES: Final = 5
"""Of a key, before its values tell anything."""
MOSTLY: Final = 0.5
MAX_SUGGESTIONS: Final = 100
_MAX_KEYS: Final = 10_000

_SUSPICIOUS: Final[tuple[tuple[str, Strategy], ...]] = (
    (r"(?:user|customer|account|member|client|person|patient|employee) ids?", Strategy.HASH),
    (r"(?:user|login|screen|nick|display|owner|author|sender) ?names?", Strategy.MASK),
    (r"login|username|nickname|initials|signature", Strategy.HASH),
    (r"addr(?:ess)?(?:es)?|location|place of birth|region|county|neighbou?rhood", Strategy.REMOVE),
    (r"birth|age|gender|sex|nationality|citizenship|marital status", Strategy.GENERALIZE),
    (r"religion|ethnicity|race|politics|union membership|orientation", Strategy.REMOVE),
    (r"health|diagnosis|medication|disability|allerg(?:y|ies)|blood type", Strategy.REMOVE),
    (r"salary|income|wage|balance|net worth|credit score", Strategy.GENERALIZE),
    (r"insurance|licen[cs]e plate|vehicle id|vin|imei|imsi|mac|(?:device|ad) id", Strategy.HASH),
    (r"avatar|photo|picture|fingerprint|biometrics?|voice", Strategy.REMOVE),
)
"""Last words of keys that may be personal, with the strategy to begin with."""
_BY_NAME = tuple((re.compile(rf"(?:^| )(?:{words})$"), strategy) for words, strategy in _SUSPICIOUS)


class Because(Enum):
    """Why a key is suggested."""

    OF_ITS_NAME = "name"
    OF_ITS_VALUES = "values"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A key, why, and the strategy to give it.

    seen: values of the key. found: those in which detectors found something. kind: what that was,
    where it decided. sample: one value, masked.
    """

    key: str
    because: Because
    strategy: Strategy
    seen: int
    found: int = 0
    kind: str = ""
    sample: str = ""


def suggest(policy: Policy, records: Iterable[bytes]) -> tuple[Suggestion, ...]:
    """Return the keys that a policy does not treat and ought to, most frequent first."""
    looking = _Looking(policy)
    for record in records:
        for attribute in _attributes(record):
            looking.look(attribute)
    return looking.suggestions()


@dataclass(slots=True)
class _Key:
    """What was seen of one key."""

    seen: int = 0
    found: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    sample: str = ""


class _Looking:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rulings = Rulings(policy)
        self._redactor = Redactor(policy, RedactionKey("suggest", bytes(32)))
        self._keys: dict[str, _Key] = {}

    def look(self, attribute: KeyValue) -> None:
        """Take in one attribute that the policy leaves to the detectors."""
        key = attribute.key
        ruling = self._rulings.of(key, path=key)
        if ruling.whole is not None or ruling.untouched:
            return
        if key not in self._keys and len(self._keys) >= _MAX_KEYS:
            return
        value = any_value(attribute.value)
        if isinstance(value, bool | bytes | list | dict):
            return
        known = self._keys.setdefault(key, _Key())
        known.seen += 1
        kinds_found = self._redactor.kinds_in(key, str(value))
        known.found += bool(kinds_found)
        known.by_kind.update(kinds_found)
        kind = min(kinds_found, default=kinds.CHOSEN)
        known.sample = known.sample or masked_sample(kind, str(value))

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Return what was noticed."""
        made = [
            suggestion
            for key, known in self._keys.items()
            if (suggestion := self._of_values(key, known) or self._of_name(key, known))
        ]
        made.sort(key=lambda one: (-one.seen, one.key))
        return tuple(made[:MAX_SUGGESTIONS])

    def _of_values(self, key: str, known: _Key) -> Suggestion | None:
        if known.seen < MIN_VALUES or known.found < MOSTLY * known.seen:
            return None
        ((kind, _),) = known.by_kind.most_common(1)
        strategy = self._policy.strategy_of(kind)
        return Suggestion(
            self._redactor.text(key),
            Because.OF_ITS_VALUES,
            strategy,
            known.seen,
            known.found,
            kind,
            known.sample,
        )

    def _of_name(self, key: str, known: _Key) -> Suggestion | None:
        if is_conventional(key):
            return None
        words = words_of(key)
        for pattern, strategy in _BY_NAME:
            if pattern.search(words):
                return Suggestion(
                    self._redactor.text(key),
                    Because.OF_ITS_NAME,
                    strategy,
                    known.seen,
                    known.found,
                    sample=known.sample,
                )
        return None


def _attributes(record: bytes) -> Iterator[KeyValue]:
    """Yield the attributes of a record, wherever they stand; of a damaged one none."""
    try:
        request = ExportTraceServiceRequest.FromString(expand_readable(record))
    except DecodeError:
        return
    yield from _below(request)


def _below(message: Message) -> Iterator[KeyValue]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        repeated = descriptor.label == descriptor.LABEL_REPEATED
        for item in value if repeated else (value,):
            if isinstance(item, KeyValue):
                yield item
            else:
                yield from _below(item)
