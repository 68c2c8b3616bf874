"""A record's one form as bytes, and nothing but that form back.

    {"body":{…},"commitment":"","controls":[…],"id":"…","kind":"verdict","policy":0,
     "schema":"betrace.compliance/1","seq":0,"tenant":"…","time_ms":0}

on one line, canonical by RFC 8785. The leaf of a record is the hash of exactly these bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Any, Final

from dsl import Verdict
from udfs.evidence.canonical import MAX_INT, Json, canonical_plain
from udfs.evidence.malformed import Malformed
from udfs.evidence.records import (
    SCHEMA,
    Act,
    Body,
    ComplianceSpan,
    Coverage,
    KeyChange,
    KeyEvent,
    Kind,
    Outcome,
    Record,
    RuleRef,
    RuleVerdict,
)

MAX_RECORD_BYTES: Final = 16 * 1024
MAX_TEXT: Final = 1_000
"""Characters of one text."""
MAX_ITEMS: Final = 100
"""Controls or reasons of one record."""

Reader = Callable[[Any], Any]
"""Returns the value as the dataclass has it; raises ValueError with what was expected."""

_FORMS: Final = {
    "UUID": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "SHA-256 in hex": re.compile(r"[0-9a-f]{64}"),
    "SHA-256 in hex, or empty": re.compile(r"([0-9a-f]{64})?"),
    "32 hex digits": re.compile(r"[0-9a-f]{32}"),
    "32 hex digits, or empty": re.compile(r"([0-9a-f]{32})?"),
    "16 hex digits": re.compile(r"[0-9a-f]{16}"),
    "1 to 100 printable ASCII characters without blanks": re.compile(r"[!-~]{1,100}"),
}


def encode_record(record: Record) -> bytes:
    """Return the canonical bytes of a record, without a newline.

    Raises ValueError (NotCanonical is one) for values that `decode_record` would refuse.
    """
    body = _plain(record.body)
    _read_body(record.kind, body)
    if isinstance(record.body, Coverage):
        _check_coverage(record, record.body)
    value: dict[str, Json] = {
        "body": body,
        "commitment": record.commitment,
        "controls": record.controls,
        "id": record.id,
        "kind": record.kind,
        "policy": record.policy,
        "schema": SCHEMA,
        "seq": record.seq,
        "tenant": record.tenant,
        "time_ms": record.time_ms,
    }
    for name, read in _ENVELOPE.items():
        _field(value, name, read)
    line = canonical_plain(value)
    if len(line) > MAX_RECORD_BYTES:
        raise ValueError(f"the record has {len(line)} bytes; {MAX_RECORD_BYTES} are the most")
    return line


def _check_coverage(record: Record, body: Coverage) -> None:
    if len(record.controls) != 1:
        raise ValueError("coverage is of one control")
    if record.time_ms != body.from_ms or body.from_ms >= body.to_ms:
        raise ValueError("coverage begins at the record's event time and ends after it")
    if body.satisfied + body.violated + body.inconclusive > body.judged:
        raise ValueError("coverage counts more verdicts than judgements")


def decode_record(line: bytes) -> Record | Malformed:
    """Read a line as it was written by `encode_record`: any other spelling is malformed."""
    if len(line) > MAX_RECORD_BYTES:
        return Malformed(f"the record has {len(line)} bytes; {MAX_RECORD_BYTES} are the most")
    try:
        value = json.loads(line)
        record = _read_record(value)
        if encode_record(record) != line:
            return Malformed("the record is not canonical JSON (RFC 8785)")
    except (ValueError, RecursionError) as error:
        return Malformed(str(error) or "the record is nested too deeply")
    return record


def _read_record(value: object) -> Record:
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise ValueError(f"a record is an object with exactly {', '.join(sorted(_KEYS))}")
    if value["schema"] != SCHEMA:
        raise ValueError(f"the schema is not {SCHEMA}")
    read = {name: _field(value, name, reader) for name, reader in _ENVELOPE.items()}
    kind = _one_of(Kind)(value["kind"])
    return Record(**read, body=_read_body(kind, value["body"]))


def _read_body(kind: Kind, value: object) -> Body:
    made, readers = _BODIES[kind]
    if not isinstance(value, dict) or value.keys() != readers.keys():
        raise ValueError(f"the body of a {kind} has exactly {', '.join(sorted(readers))}")
    return made(**{name: _field(value, name, read) for name, read in readers.items()})


def _plain(value: Body | RuleRef) -> dict[str, Json]:
    plain = {one.name: getattr(value, one.name) for one in fields(value)}
    if "rule" in plain:
        plain["rule"] = _plain(plain["rule"])
    return plain


def _field(value: Mapping[str, Any], name: str, read: Reader) -> Any:
    try:
        return read(value[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


# readers


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise ValueError("a whole number from 0 to 2^53 - 1 was expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"a text of at most {MAX_TEXT} characters was expected")
    return value


def _name(value: object) -> str:
    if not _text(value):
        raise ValueError("it is empty")
    return str(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false was expected")
    return value


def _sorted_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_ITEMS:
        raise ValueError(f"a list of at most {MAX_ITEMS} texts was expected")
    texts = tuple(map(_label, value))
    if any(left >= right for left, right in pairwise(texts)):
        raise ValueError("the texts are not sorted, or one stands twice")
    return texts


def _form(name: str) -> Reader:
    form = _FORMS[name]

    def read(value: object) -> str:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ValueError(f"{name} was expected")
        return value

    return read


def _one_of(choice: type[Kind | Outcome | Verdict | KeyEvent]) -> Reader:
    known = {str(one): one for one in choice}

    def read(value: object) -> Kind | Outcome | Verdict | KeyEvent:
        found = known.get(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"one of {', '.join(known)} was expected")
        return found

    return read


_label: Final = _form("1 to 100 printable ASCII characters without blanks")


def _rule(value: object) -> RuleRef:
    if not isinstance(value, dict) or value.keys() != _RULE.keys():
        raise ValueError(f"a rule has exactly {', '.join(sorted(_RULE))}")
    return RuleRef(**{name: _field(value, name, read) for name, read in _RULE.items()})


_RULE: Final[dict[str, Reader]] = {
    "id": _name,
    "version": _count,
    "sha256": _form("SHA-256 in hex"),
}

_ENVELOPE: Final[dict[str, Reader]] = {
    "seq": _count,
    "tenant": _form("UUID"),
    "id": _name,
    "time_ms": _count,
    "controls": _sorted_texts,
    "policy": _count,
    "commitment": _form("SHA-256 in hex, or empty"),
}

_KEYS: Final = {*_ENVELOPE, "body", "kind", "schema"}

_BODIES: Final[dict[Kind, tuple[Callable[..., Body], dict[str, Reader]]]] = {
    Kind.SPAN: (
        ComplianceSpan,
        {
            "evidence_type": _text,
            "operation": _text,
            "outcome": _one_of(Outcome),
            "service": _text,
            "trace_id": _form("32 hex digits"),
            "span_id": _form("16 hex digits"),
        },
    ),
    Kind.VERDICT: (
        RuleVerdict,
        {
            "rule": _rule,
            "verdict": _one_of(Verdict),
            "signal": _form("32 hex digits"),
            "revision": _count,
            "trace_id": _form("32 hex digits, or empty"),
            "incomplete": _truth,
            "reasons": _sorted_texts,
        },
    ),
    Kind.COVERAGE: (
        Coverage,
        {
            "rule": _rule,
            **dict.fromkeys(("from_ms", "to_ms", "judged", "satisfied", "violated"), _count),
            **dict.fromkeys(("inconclusive", "late", "dropped"), _count),
            **dict.fromkeys(("begins", "ends"), _truth),
        },
    ),
    Kind.ACT: (
        Act,
        {"action": _name, "actor": _text, "target": _text, "outcome": _one_of(Outcome)},
    ),
    Kind.KEY: (
        KeyChange,
        {
            "event": _one_of(KeyEvent),
            "verifier_key": _name,
            "endorsement": _text,
            "since_size": _count,
            "reason": _text,
        },
    ),
}
