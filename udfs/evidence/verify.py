#!/usr/bin/env python3
"""Verifies a pack of evidence from BeTrace, offline. This one file is all it takes.

    python verify.py PACK.zip --key VERIFIER_KEY [--checkpoint NOTE] [--tsa CA.pem] [--json]

It needs Python 3.11 or newer and nothing else; with the package `cryptography` signatures are
checked by OpenSSL, without it by the sixty lines below. It imports nothing of BeTrace, opens no
connection, and holds no more of a pack than the ids of its records.

What is established, in this order: the pack is whole and its manifest signed; the keys are those
that the log itself names, and the one that you know is among them; every checkpoint is signed by a
key that counted then, and continues the one before; every record is where the log says, unchanged,
of this tenant, and sealed after it happened; none of the range is missing or hidden; payloads,
texts of rules, counts and sums are those that were sealed. Exit code 0 if all of it holds, 1 if
not, 2 if the arguments cannot be used.

Source: RFC 6962 and RFC 9162 (tree), RFC 8032 (Ed25519), RFC 8785 (JSON), RFC 3161 (time stamps),
C2SP signed-note and tlog-checkpoint. The pack's format is drawn in udfs/evidence/pack.py.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256, sha384, sha512
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment, misc]

FORMAT: Final = "betrace.pack/1"
SCHEMA: Final = "betrace.compliance/1"
RESULT: Final = "betrace.verification/1"

REASONS: Final = {
    "pack_unreadable": "The file is not a zip archive that can be a pack.",
    "file_missing": "A file that the pack must have, or that its manifest names, is missing.",
    "file_unexpected": "A file is in the pack that has no place there.",
    "file_altered": "A file is not the one that the manifest names: its SHA-256 differs.",
    "file_malformed": "A file does not have the form that the format asks for.",
    "manifest_forged": "The manifest is not signed by a key of this log that counts: "
    "somebody else made or changed it.",
    "key_untrusted": "The key that you know does not stand behind this pack.",
    "key_contradicted": "keys.json tells something else of the keys than the log itself.",
    "key_endorsement": "A key follows another one that did not sign for it.",
    "key_unknown": "A checkpoint is signed by no key of this log.",
    "key_retired": "A checkpoint is signed only by a key that had been replaced by then.",
    "key_revoked": "A checkpoint is signed only by a key that is revoked for its size.",
    "checkpoint_forged": "A checkpoint does not match its signature: "
    "its text or its signature was changed.",
    "checkpoint_foreign": "A checkpoint is of another log.",
    "checkpoint_disordered": "A checkpoint is older or smaller than the one before it.",
    "consistency_broken": "The proof that a checkpoint continues the one before it is missing "
    "or wrong.",
    "fork": "Two signed checkpoints contradict each other: the log was forked.",
    "pack_outdated": "The log was larger than this when you last saw it: the pack is an old one.",
    "record_malformed": "A record does not have the form of the schema.",
    "record_foreign": "A record is of another tenant.",
    "record_missing": "A record is missing.",
    "record_inserted": "A record stands where the log has none.",
    "record_reordered": "A record does not stand in its place.",
    "record_replayed": "What happened once is in the log twice.",
    "record_hidden": "A record of the range is withheld, though all are said to be shown.",
    "record_postdated": "A record tells of something later than the checkpoint that sealed it.",
    "records_altered": "Records do not give the root that a checkpoint signs: "
    "at least one was changed, removed or put in after it was sealed.",
    "records_truncated": "The log ends before its newest checkpoint.",
    "range_incomplete": "The range does not span the period: "
    "what happened in it may be sealed outside.",
    "coverage_gap": "Nothing accounts for a rule and control for a while between two intervals.",
    "coverage_overlap": "Two intervals of a rule and control count the same time twice.",
    "coverage_impossible": "An interval counts more verdicts than judgements, or ends too early.",
    "commitment_mismatch": "A payload is not the one that the record commits to.",
    "payload_missing": "A record commits to a payload that is neither here nor said to be absent.",
    "payload_unexpected": "A payload belongs to no record that is shown.",
    "rule_missing": "The text of a rule that judged is missing.",
    "rule_altered": "The text of a rule is not the one that judged.",
    "population_mismatch": "The counts of the population are not those of the records.",
    "coverage_mismatch": "The sums of coverage are not those of the records.",
    "stamp_malformed": "A time stamp is not an answer of RFC 3161.",
    "stamp_foreign": "A time stamp is of something else than its checkpoint.",
    "stamp_forged": "A time stamp was changed after it was signed, or was not signed by the "
    "authority that you trust.",
}
"""Every failure has one of these codes; they are stable."""

WARNINGS: Final = {
    "keys_unpinned": "No key of yours was given: that these are the keys of the log rests on the "
    "pack itself. Give --key with the verifier key that you got on another way.",
    "withheld": "Records of the range are withheld: that none of them belongs to the population "
    "rests on the word of who exported it.",
    "coverage_edge": "A rule and control is not accounted for up to a border of the period.",
    "checkpoint_unreached": "The checkpoint that you know lies among withheld records and cannot "
    "be compared. Ask for a pack that has it.",
    "stamps_unverified": "Time stamps are over the right checkpoints; who made them was not "
    "checked. Give --tsa with the authority's certificate.",
}

MAX_ENTRIES: Final = 50_000
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_STREAM_BYTES: Final = 64 * 2**30
MAX_RATIO: Final = 200
"""Of all files, unpacked, to the archive, beyond MAX_FILE_BYTES; lines of JSON stay below 30."""
MAX_NUMBERED_BYTES: Final = 2**20
MAX_RECORD_BYTES: Final = 16 * 1024
MAX_LINE_BYTES: Final = 2**20
MAX_NOTE_BYTES: Final = 64 * 1024
MAX_TOLD: Final = 20
"""Places that are told of one reason; more are counted."""
MAX_INT: Final = 2**53 - 1
CLOCK_SKEW_MS: Final = 5 * 60 * 1000
"""By how much a producer's clock may be ahead of the sealer's."""

FILES: Final = ("README.txt", "pack.json", "keys.json", "population.json", "coverage.json")
STREAMS: Final = (
    *("log.jsonl", "consistency.jsonl", "payloads.jsonl", "absent.jsonl"),
    *("rules.jsonl", "suppressions.jsonl"),
)
NUMBERED: Final = re.compile(r"(checkpoints/[0-9]{6}\.note|stamps/[0-9]{6}\.tsr)")

Finding = tuple[str, str]
"""A code and the place it was found at."""


class Unreadable(Exception):
    """The pack cannot be read on; the text is the place."""


# the pack


_DAMAGED: Final = (
    *(BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, RuntimeError),  # a negative place to seek, a password asked for, a method unknown
)
"""What `zipfile` raises where an archive is not what it says; caught around nothing but it."""


class _Hashing(io.RawIOBase):
    """A file of the pack that is hashed while it is read."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.digest, self.size = inner, sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.digest.update(data)
        self.size += len(data)
        return len(data)


class Pack:
    """The archive: files with a known name, none too large, each compared with the manifest."""

    def __init__(self, archive: ZipFile, size: int, tell: Callable[[str, str], None]) -> None:
        self._archive = archive
        self._tell = tell
        infos = archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise Unreadable(f"{len(infos)} files; {MAX_ENTRIES} are the most")
        self.names = {one.filename for one in infos}
        if len(self.names) != len(infos):
            raise Unreadable("two files have one name")
        for one in infos:
            self._check_entry(one)
        unpacked = sum(one.file_size for one in infos)
        if unpacked > MAX_FILE_BYTES + MAX_RATIO * size:
            raise Unreadable(f"it unpacks to {unpacked} bytes, over {MAX_RATIO} times its size")
        self._manifest: dict[str, Any] = {}

    def _check_entry(self, info: ZipInfo) -> None:
        name, limit = info.filename, MAX_FILE_BYTES
        if name in STREAMS:
            limit = MAX_STREAM_BYTES
        elif NUMBERED.fullmatch(name):
            limit = MAX_NUMBERED_BYTES
        if info.flag_bits & 0x1 or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise Unreadable(f"{name[:100]!r} is encrypted or packed in another way than deflate")
        if info.file_size > limit:
            raise Unreadable(f"{name[:100]!r} has {info.file_size} bytes; {limit} are the most")

    def read_manifest(self) -> bytes:
        """Read the manifest and compare the names; return its bytes."""
        raw = self._raw("manifest.json")
        try:
            value = parse(raw)
        except ValueError as error:
            raise Unreadable(f"manifest.json: {error}") from error
        files = value.get("files") if isinstance(value, dict) else None
        if not isinstance(files, dict) or value.keys() != {"files", "format"}:
            raise Unreadable("manifest.json: files and format were expected")
        if value["format"] != FORMAT:
            raise Unreadable(f"manifest.json: the format is not {FORMAT}")
        if not all(map(_is_manifest_row, files.values())):
            raise Unreadable("manifest.json: a file has no bytes and sha256")
        self._manifest = files
        own = {"manifest.json", "manifest.note"}
        known = {name for name in files if name in (*FILES, *STREAMS) or NUMBERED.fullmatch(name)}
        for name in sorted(self.names - own - known):
            self._tell("file_unexpected", repr(name[:100]))
        for name in sorted((files.keys() | own | {*FILES, *STREAMS}) - self.names):
            self._tell("file_missing", repr(name[:100]))
        return raw

    def numbered(self, folder: str) -> list[str]:
        """Return the files of a folder in their order."""
        named = (name for name in self.names & self._manifest.keys() if NUMBERED.fullmatch(name))
        return sorted(name for name in named if name.startswith(folder))

    def read(self, name: str) -> bytes:
        """Return a small file, compared with the manifest; empty if it is not there."""
        if name not in self.names:
            return b""
        raw = self._raw(name)
        self._compare(name, len(raw), sha256(raw).hexdigest())
        return raw

    def lines(self, name: str, limit: int = MAX_LINE_BYTES) -> Iterator[bytes]:
        """Yield the lines of a file without their newlines; the whole is compared at the end."""
        if name not in self.names:
            return
        with self._open(name) as file:
            hashing = _Hashing(file)
            reader = io.BufferedReader(hashing, 2**20)
            while line := reader.readline(limit + 1):
                if not line.endswith(b"\n"):
                    self._tell("file_malformed", f"{name}: a line without end, or over {limit}")
                    break
                yield line[:-1]
            while reader.read(2**20):
                pass
            self._compare(name, hashing.size, hashing.digest.hexdigest())

    def _compare(self, name: str, size: int, digest: str) -> None:
        row = self._manifest.get(name)
        if row is not None and row != {"bytes": size, "sha256": digest}:
            self._tell("file_altered", name)

    def _raw(self, name: str) -> bytes:
        if name not in self.names:
            raise Unreadable(f"{name} is missing")
        with self._open(name) as file:
            raw: bytes = file.read(MAX_FILE_BYTES + 1)
        return raw

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        try:
            with self._archive.open(name) as file:
                yield file
        except _DAMAGED as error:
            raise Unreadable(f"{name[:100]!r} cannot be unpacked: {error}") from error


def _is_manifest_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == {"bytes", "sha256"}
        and is_count(row["bytes"])
        and is_hex64(row["sha256"])
    )


# JSON


def _refuse(text: str) -> None:
    raise ValueError(f"{text[:30]} is not a whole number")


_decode = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def parse(raw: bytes) -> Any:
    """Return a JSON value. Raises ValueError unless the bytes are its one canonical form.

    Writing it again and comparing finds white space, disorder, keys that stand twice and numbers in
    other spellings at once. Keys are ASCII and numbers whole, so this is RFC 8785.
    """
    try:
        value = _decode(raw.decode())
        if _encode(value).encode() != raw:
            raise ValueError("it is not canonical JSON")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def is_count_or_null(value: object) -> bool:
    return value is None or is_count(value)


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_truth(value: object) -> bool:
    return isinstance(value, bool)


def is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def _form(pattern: str) -> Callable[[object], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def _one_of(*words: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in words


is_hex64 = _form("[0-9a-f]{64}")
is_hash = _form("[A-Za-z0-9+/]{43}=")
is_controls = _form("[!-~]{1,100}")

Shape = dict[str, Callable[[object], bool]]


def fits(value: object, shape: Shape) -> bool:
    """Tell whether a value is an object with exactly these keys, each of its form."""
    if not isinstance(value, dict) or value.keys() != shape.keys():
        return False
    for name, check in shape.items():  # noqa: SIM110 - twice as fast as all() with a generator
        if not check(value[name]):
            return False
    return True


RULE: Final[Shape] = {"id": is_text, "version": is_count, "sha256": is_hex64}
OUTCOME: Final = _one_of("success", "failure", "blocked", "unknown")
COUNTS: Final = ("judged", "satisfied", "violated", "inconclusive", "late", "dropped")
BODIES: Final[dict[str, Shape]] = {
    "span": {
        **dict.fromkeys(("evidence_type", "operation", "service"), is_text),
        "outcome": OUTCOME,
        "trace_id": _form("[0-9a-f]{32}"),
        "span_id": _form("[0-9a-f]{16}"),
    },
    "verdict": {
        "rule": lambda value: fits(value, RULE),
        "verdict": _one_of("violated", "satisfied", "not_applicable", "inconclusive"),
        "signal": _form("[0-9a-f]{32}"),
        "revision": is_count,
        "trace_id": _form("([0-9a-f]{32})?"),
        "incomplete": is_truth,
        "reasons": is_texts,
    },
    "coverage": {
        "rule": lambda value: fits(value, RULE),
        **dict.fromkeys(("from_ms", "to_ms", *COUNTS), is_count),
        **dict.fromkeys(("begins", "ends"), is_truth),
    },
    "act": {**dict.fromkeys(("action", "actor", "target"), is_text), "outcome": OUTCOME},
    "key": {
        "event": _one_of("created", "rotated", "revoked"),
        **dict.fromkeys(("verifier_key", "endorsement", "reason"), is_text),
        "since_size": is_count,
    },
}
RECORD: Final[Shape] = {
    "body": lambda value: isinstance(value, dict),
    "commitment": _form("([0-9a-f]{64})?"),
    "controls": lambda value: isinstance(value, list) and all(map(is_controls, value)),
    "id": is_text,
    "kind": lambda value: isinstance(value, str) and value in BODIES,
    "policy": is_count,
    "schema": lambda value: value == SCHEMA,
    "seq": is_count,
    "tenant": is_text,
    "time_ms": is_count,
}
WITHHELD: Final[Shape] = {"count": is_count, "first": is_count, "hash": is_hash}
KEY: Final[Shape] = {
    "endorsement": is_text,
    "introduced": is_count,
    "retired": is_count_or_null,
    "revoked_since": is_count_or_null,
    "verifier_key": is_text,
}


def are_keys(value: object) -> bool:
    return isinstance(value, list) and all(fits(one, KEY) for one in value)


QUERY: Final[Shape] = {
    **dict.fromkeys(("from_ms", "to_ms"), is_count),
    **dict.fromkeys(("frameworks", "controls", "kinds"), is_texts),
}
HEAD: Final[Shape] = {
    **dict.fromkeys(("first", "end", "created_ms"), is_count),
    **dict.fromkeys(("tenant", "origin", "generator"), is_text),
    "disclosure": _one_of("all", "selected"),
    "format": lambda value: value == FORMAT,
    "query": lambda value: fits(value, QUERY),
}
CONSISTENCY: Final[Shape] = {
    "from": is_count,
    "hashes": lambda value: isinstance(value, list) and all(map(is_hash, value)),
    "to": is_count,
}
PAYLOAD: Final[Shape] = {"payload": is_text, "salt": is_hash, "seq": is_count}
ABSENT: Final[Shape] = {
    "seq": is_count,
    "why": _one_of("erased", "redacted"),
    "at_ms": is_count,
    "by": is_count_or_null,
}
APPROVAL: Final[Shape] = {"by": is_text, "at_ms": is_count}
RULE_TEXT: Final[Shape] = {
    "id": is_text,
    "version": is_count,
    "text": is_text,
    "controls": is_texts,
    "approvals": lambda value: (
        isinstance(value, list) and all(fits(one, APPROVAL) for one in value)
    ),
}
SUPPRESSION: Final[Shape] = {
    **dict.fromkeys(("rule", "where", "reason", "owner"), is_text),
    **dict.fromkeys(("until_ms", "signals"), is_count),
}


# signatures


def ed25519_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is right, by `cryptography` or, without it, by the lines below."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    if Ed25519PublicKey is None:
        return slow_ed25519_holds(public_key, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_M1: Final = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
"""X, Y, Z and T = XY/Z of a point (X/Z, Y/Z) on the curve."""

_ZERO: Final[Point] = (0, 1, 1, 0)


def _add(a: Point, b: Point) -> Point:
    low = (a[1] - a[0]) * (b[1] - b[0]) % _P
    high = (a[1] + a[0]) * (b[1] + b[0]) % _P
    cross = 2 * a[3] * b[3] * _D % _P
    double = 2 * a[2] * b[2] % _P
    e, f, g, h = high - low, double - cross, double + cross, high + low
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    total = _ZERO
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _x_of(y: int, odd: int) -> int | None:
    """Return the x of a point with this y and lowest bit; None if there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _SQRT_M1 % _P
    if x * x % _P != square or (x == 0 and odd):
        return None
    return x if x & 1 == odd else _P - x


def _unpack(raw: bytes) -> Point | None:
    packed = int.from_bytes(raw, "little")
    y, odd = packed & (2**255 - 1), packed >> 255
    x = _x_of(y, odd) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _packed(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE_Y: Final = 4 * pow(5, -1, _P) % _P


def slow_ed25519_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Verify by RFC 8032, 5.1.7, in integers: S·B must be R + k·A. A few milliseconds."""
    key, s = _unpack(public_key), int.from_bytes(signature[32:], "little")
    if key is None or s >= _L:
        return False
    k = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % _L
    base = _unpack(_BASE_Y.to_bytes(32, "little"))
    assert base is not None
    minus = (_P - key[0], key[1], key[2], _P - key[3])
    return _packed(_add(_times(s, base), _times(k, minus))) == signature[:32]


# keys and notes


@dataclass(slots=True)
class Key:
    """A key of the log; see `LogKey` in pack.py."""

    row: dict[str, Any]
    name: str
    id: bytes
    public: bytes
    trusted: bool = False

    def stands(self, size: int) -> str:
        """Return "" if it counts for a checkpoint of a size, else the reason why it does not."""
        revoked, retired = self.row["revoked_since"], self.row["retired"]
        if revoked is not None and size > revoked:
            return "key_revoked"
        return "key_retired" if retired is not None and size > retired else ""


_VERIFIER_KEY: Final = re.compile(r"([^\s+\x00-\x1f]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})")


def parse_key(text: str) -> tuple[str, bytes, bytes]:
    """Return name, id and public key of a verifier key. Raises ValueError."""
    found = _VERIFIER_KEY.fullmatch(text)
    if not found:
        raise ValueError("a verifier key reads name+8 hex digits+base64 of 33 bytes")
    packed = b64decode(found[3])
    identity = sha256(found[1].encode() + b"\n" + packed).digest()[:4]
    if len(packed) != 33 or packed[0] != 1 or identity.hex() != found[2]:
        raise ValueError("the verifier key is not of Ed25519, or its id is wrong")
    return found[1], identity, packed[1:]


@dataclass(slots=True)
class Note:
    """A signed text. signatures: name, key id, signature."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]


def parse_note(raw: bytes) -> Note:
    """Read a C2SP signed note. Raises ValueError."""
    if len(raw) > MAX_NOTE_BYTES:
        raise ValueError(f"a note has at most {MAX_NOTE_BYTES} bytes")
    whole = raw.decode()
    text, empty, lines = whole.rpartition("\n\n")
    if not empty or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", whole):
        raise ValueError("a note is a text, an empty line and signatures")
    signatures = []
    for line in lines[:-1].split("\n"):
        found = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})", line)
        packed = b64decode(found[2], validate=True) if found else b""
        if not found or len(packed) <= 4:
            raise ValueError("a signature line reads: — name base64")
        signatures.append((found[1], packed[:4], packed[4:]))
    return Note(text + "\n", signatures)


@dataclass(slots=True)
class Checkpoint:
    """A tree head. raw: the note's bytes; place: what it is called when it is told of."""

    origin: str
    size: int
    root: bytes
    time_ms: int
    note: Note
    raw: bytes
    place: str


_CHECKPOINT: Final = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\ntime_ms (0|[1-9][0-9]{0,15})\n"
)


def parse_checkpoint(raw: bytes, place: str) -> Checkpoint:
    """Read a signed checkpoint. Raises ValueError."""
    note = parse_note(raw)
    found = _CHECKPOINT.fullmatch(note.text)
    if not found:
        raise ValueError("a checkpoint is four lines: origin, size, root, time_ms")
    root = b64decode(found[3])
    return Checkpoint(found[1], int(found[2]), root, int(found[4]), note, raw, place)


def signed_by(note: Note, keys: Sequence[Key]) -> list[Key] | None:
    """Return which keys signed; None if the signature of one of them is wrong."""
    signers = []
    for name, identity, signature in note.signatures:
        for key in keys:
            if (key.name, key.id) == (name, identity):
                if not ed25519_holds(key.public, signature, note.text.encode()):
                    return None
                signers.append(key)
    return signers


# the tree


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A Merkle tree that grows at its right edge, by leaves and by full subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, hashed: bytes, level: int = 0) -> None:
        """Append a full subtree of 2^level leaves; the size must be a multiple of that."""
        index = self.size >> level
        while index & 1:
            hashed = node_hash(self._edge.pop(), hashed)
            index >>= 1
        self._edge.append(hashed)
        self.size += 1 << level

    def root(self) -> bytes:
        """Return the root of what there is."""
        if not self._edge:
            return sha256().digest()
        folded = self._edge[-1]
        for left in self._edge[-2::-1]:
            folded = node_hash(left, folded)
        return folded


def consistency_holds(proof: Sequence[bytes], old: Checkpoint, new: Checkpoint) -> bool:
    """Tell whether one tree begins with the other, by RFC 9162, 2.1.4.2 (0 < old < new)."""
    path = list(proof)
    at, last = old.size - 1, new.size - 1
    if old.size & at == 0:
        path.insert(0, old.root)
    if not path:
        return False
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = node_hash(other, was), node_hash(other, now)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, other)
        at, last = at >> 1, last >> 1
    return last == 0 and was == old.root and now == new.root


# time stamps


def _der(raw: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of the DER values in some bytes, all of them. Raises ValueError."""
    at, found = 0, []
    while at < len(raw):
        header, size, begin = raw[at : at + 2], 0, at + 2
        if len(header) < 2:
            raise ValueError("DER ends too early")
        size = header[1]
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(raw[at + 2 : begin], "big")
        if begin + size > len(raw):
            raise ValueError("DER ends too early")
        found.append((header[0], raw[begin : begin + size]))
        at = begin + size
    return found


def _nested(raw: bytes, *path: int) -> bytes:
    """Return the content reached by these positions, one level each. Raises ValueError."""
    for position in path:
        values = _der(raw)
        if position >= len(values):
            raise ValueError("DER has not the form of RFC 3161")
        raw = values[position][1]
    return raw


def stamped(raw: bytes) -> tuple[bytes, int]:
    """Return the hash that a TimeStampResp is over, and its time in ms. Raises ValueError."""
    # TimeStampResp → token → SignedData → encapContentInfo → [0] → OCTET STRING → TSTInfo
    info = _nested(raw, 0, 1, 1, 0, 2, 1, 0, 0)
    fields = _der(info)
    if len(fields) < 5:
        raise ValueError("DER has not the form of RFC 3161")
    found = re.fullmatch(r"([0-9]{14})(\.[0-9]+)?Z", fields[4][1].decode())
    if not found:
        raise ValueError("the time of the stamp cannot be read")
    at = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return _nested(fields[2][1], 1), int(at.timestamp() * 1000)


_HASHES: Final = {
    bytes.fromhex("608648016503040201"): sha256,
    bytes.fromhex("608648016503040202"): sha384,
    bytes.fromhex("608648016503040203"): sha512,
}
_MESSAGE_DIGEST: Final = bytes.fromhex("2a864886f70d010904")
_RSA: Final = bytes.fromhex("2a864886f70d010101")
_SIGNED_WITH: Final = {
    bytes.fromhex("2a8648ce3d040302"): sha256,
    bytes.fromhex("2a8648ce3d040303"): sha384,
    bytes.fromhex("2a8648ce3d040304"): sha512,
    bytes.fromhex("2a864886f70d01010b"): sha256,
    bytes.fromhex("2a864886f70d01010c"): sha384,
    bytes.fromhex("2a864886f70d01010d"): sha512,
}
"""Signatures by ECDSA and RSA (PKCS #1 v1.5), and the hash of each."""


def stamp_is_whole(raw: bytes) -> bool:
    """Tell whether a TimeStampResp says what its signer signed, whoever that is (RFC 5652, 5.4).

    False for one that was changed. What cannot be looked at is taken as it is: a signature where
    there is no `cryptography`, no certificate, or another algorithm. Raises ValueError.
    """
    # TimeStampResp → token → SignedData
    data = _der(_nested(raw, 0, 1, 1, 0))
    signer = _der(_nested(data[-1][1], 0))
    if len(signer) < 6 or signer[3][0] != 0xA0:
        raise ValueError("DER has not the form of RFC 3161")
    (_, sid), (_, algorithm), (_, attributes), (_, signed_with), (_, signature) = signer[1:6]
    content, digest = _nested(data[2][1], 1, 0), _attribute(attributes, _MESSAGE_DIGEST)
    hashed, oid, key = (
        _HASHES.get(_nested(algorithm, 0)),
        _nested(signed_with, 0),
        _key_of(data, sid),
    )
    if hashed is None:
        return True
    if digest != hashed(content).digest():
        return False
    by = hashed if oid == _RSA else _SIGNED_WITH.get(oid)
    # A SET of attributes is signed; within the signer they have another tag.
    return by is None or not key or _signature_holds(key, signature, _tlv(0x31, attributes), by)


def _attribute(attributes: bytes, wanted: bytes) -> bytes:
    for _, attribute in _der(attributes):
        if _nested(attribute, 0) == wanted:
            return _nested(attribute, 1, 0)
    return b""


def _key_of(data: Sequence[tuple[int, bytes]], sid: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of the signer's certificate; empty if it is not there."""
    certificates = next((content for tag, content in data[3:] if tag == 0xA0), b"")
    for _, certificate in _der(certificates):
        fields = _der(_nested(certificate, 0))
        at = int(fields[0][0] == 0xA0)  # the version
        if len(fields) < at + 6:
            raise ValueError("DER has not the form of a certificate")
        if _tlv(0x30, fields[at + 2][1]) + _tlv(0x02, fields[at][1]) == sid:
            return _tlv(0x30, fields[at + 5][1])
    return b""


def _tlv(tag: int, content: bytes) -> bytes:
    """Return a DER value."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    packed = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(packed)]) + packed + content


def _signature_holds(public_key: bytes, signature: bytes, message: bytes, by: Any) -> bool:
    if Ed25519PublicKey is None:
        return True
    made: dict[Any, Any] = {sha256: hashes.SHA256, sha384: hashes.SHA384, sha512: hashes.SHA512}
    algorithm = made[by]()
    try:
        key = load_der_public_key(public_key)
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, message, ECDSA(algorithm))
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, message, PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    except (ValueError, UnsupportedAlgorithm):
        return True
    return True


def openssl_accepts(checkpoint: bytes, stamp: bytes, authority: Path) -> bool:
    """Tell whether `openssl ts -verify` takes a time stamp for one of an authority's.

    The authority's certificate is asked for at the time of the stamp: it ends sooner than evidence.
    Raises ValueError for what is no time stamp.
    """
    at_s = stamped(stamp)[1] // 1000
    with tempfile.TemporaryDirectory() as folder:
        data, answer = Path(folder, "note"), Path(folder, "stamp")
        data.write_bytes(checkpoint)
        answer.write_bytes(stamp)
        command = ["openssl", "ts", "-verify", "-data", str(data), "-in", str(answer)]
        options = ["-CAfile", str(authority), "-attime", str(at_s)]
        done = subprocess.run([*command, *options], capture_output=True, check=False)
    return done.returncode == 0


# what is verified


@dataclass(slots=True)
class Findings:
    """What was found wrong or is to be known: by code, where, and how often."""

    places: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def tell(self, code: str, place: str) -> None:
        self.counts[code] += 1
        told = self.places.setdefault(code, [])
        if len(told) < MAX_TOLD:
            told.append(place)

    def rows(self, sentences: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {"code": code, "times": self.counts[code], "what": sentences[code], "where": places}
            for code, places in self.places.items()
            if code in sentences
        ]


@dataclass(slots=True)
class Asked:
    """What the verifier was told: keys that are known, the last checkpoint that was seen, …"""

    keys: Sequence[str] = ()
    checkpoint: bytes = b""
    authority: Path | None = None


class Verification:
    """One pack being verified, in the order of its methods."""

    def __init__(self, pack: Pack, findings: Findings, asked: Asked) -> None:
        self.pack, self.findings, self.asked = pack, findings, asked
        self.tell = findings.tell
        self.head: dict[str, Any] = {}
        self.keys: list[Key] = []
        self.listed: list[Checkpoint] = []
        self.usable: list[Checkpoint] = []
        self.refused = False
        """Whether a checkpoint is not usable; what would follow from that is not told again."""
        self.known: Checkpoint | None = None
        self.rules: dict[tuple[str, int], str] = {}
        self.unproven: list[tuple[Checkpoint, Checkpoint]] = []
        self.tree = Tree()
        self.whole = True
        """Whether every line so far stood in its place; roots mean nothing without."""
        self.unread = False
        """Whether a record could not be read; counts mean nothing then."""
        self.agreed: set[int] = set()
        self.disagreed: dict[int, str] = {}
        """By size of a checkpoint: which records gave another root than it signs."""
        self.tally = Tally()
        self.stamps = 0

    def run(self) -> None:
        manifest = self.pack.read_manifest()
        self.head = self.value("pack.json", lambda value: fits(value, HEAD))
        if not self.head:
            return
        if not self.head["origin"].endswith("/" + self.head["tenant"]):
            self.tell("file_malformed", "pack.json: the origin is not of the tenant")
        self.tally = Tally(self.head["query"])
        self.read_keys()
        self.read_checkpoints()
        self.check_manifest(manifest)
        self.read_consistency()
        self.check_range()
        self.read_rules()
        Walk(self).run()
        self.check_roots()
        self.check_counts()
        self.check_stamps()
        for _ in self.values("suppressions.jsonl", SUPPRESSION):
            pass
        self.pack.read("README.txt")

    # files

    def value(self, name: str, check: Callable[[Any], bool]) -> Any:
        """Return the value of a file, None if it is not there or not what it should be."""
        if name not in self.pack.names:
            return None
        try:
            value = parse(self.pack.read(name))
        except ValueError as error:
            self.tell("file_malformed", f"{name}: {error}")
            return None
        if not check(value):
            self.tell("file_malformed", f"{name}: other keys or values than the format has")
            return None
        return value

    def values(self, name: str, shape: Shape) -> Iterator[dict[str, Any]]:
        """Yield the values of a file of lines that have the right shape, telling of the others."""
        for number, line in enumerate(self.pack.lines(name), 1):
            try:
                value = parse(line)
            except ValueError as error:
                self.tell("file_malformed", f"{name}, line {number}: {error}")
                continue
            if fits(value, shape):
                yield value
            else:
                self.tell("file_malformed", f"{name}, line {number}: other keys or values")

    # keys

    def read_keys(self) -> None:
        for row in self.value("keys.json", are_keys) or []:
            try:
                name, identity, public = parse_key(row["verifier_key"])
            except ValueError as error:
                self.tell("file_malformed", f"keys.json: {error}")
                continue
            if name != self.head["origin"]:
                self.tell("file_malformed", "keys.json: a key has another name than the origin")
            self.keys.append(Key(row, name, identity, public))
        self._trust()

    def _trust(self) -> None:
        """Mark the keys that those which are known stand behind."""
        pinned = set(self.asked.keys)
        if not pinned:
            self.tell("keys_unpinned", ", ".join(key.row["verifier_key"] for key in self.keys))
        for number, key in enumerate(self.keys):
            before = self.keys[number - 1] if number else None
            endorsed = before is not None and self._endorses(before, key)
            key.trusted = key.row["verifier_key"] in pinned or not pinned
            key.trusted |= endorsed and before is not None and before.trusted
        for text in sorted(pinned - {key.row["verifier_key"] for key in self.keys}):
            self.tell("key_untrusted", f"{text} is no key of this log")

    def _endorses(self, before: Key, key: Key) -> bool:
        row = key.row
        if not row["endorsement"]:
            if before.row["revoked_since"] is None:
                self.tell("key_endorsement", row["verifier_key"])
            return False
        text = f"betrace.key/1\n{key.name}\n{row['introduced']}\n{row['verifier_key']}\n"
        try:
            signature = b64decode(row["endorsement"], validate=True)
        except ValueError:
            signature = b""
        if ed25519_holds(before.public, signature, text.encode()):
            return True
        self.tell("key_endorsement", row["verifier_key"])
        return False

    # checkpoints

    def read_checkpoints(self) -> None:
        for name in self.pack.numbered("checkpoints/"):
            checkpoint = self._checkpoint(self.pack.read(name), name)
            if checkpoint is not None:
                self.listed.append(checkpoint)
            if checkpoint is not None and self._counts(checkpoint):
                self.usable.append(checkpoint)
            else:
                self.refused = True
        for old, new in pairwise(self.usable):
            if new.size < old.size or new.time_ms < old.time_ms:
                self.tell("checkpoint_disordered", new.place)
        if not self.listed and not self.refused:
            self.tell("file_missing", "'checkpoints/000001.note'")
        if self.usable and not self._trusted(self.usable[-1].note, self.usable[-1].size):
            self.tell("key_untrusted", f"{self.usable[-1].place} is signed by no key you know")
        if self.asked.checkpoint:
            self.known = self._checkpoint(self.asked.checkpoint, "the checkpoint that you know")
            if self.known and not self._counts(self.known):
                self.known = None

    def _checkpoint(self, raw: bytes, place: str) -> Checkpoint | None:
        try:
            checkpoint = parse_checkpoint(raw, place)
        except ValueError as error:
            self.tell("file_malformed", f"{place}: {error}")
            return None
        if checkpoint.origin != self.head["origin"]:
            self.tell("checkpoint_foreign", f"{place}: {checkpoint.origin}")
            return None
        return checkpoint

    def _counts(self, checkpoint: Checkpoint) -> bool:
        signers = signed_by(checkpoint.note, self.keys)
        if signers is None:
            self.tell("checkpoint_forged", checkpoint.place)
            return False
        reasons = [key.stands(checkpoint.size) for key in signers]
        if "" in reasons:
            return True
        self.tell(reasons[0] if reasons else "key_unknown", checkpoint.place)
        return False

    def _trusted(self, note: Note, size: int) -> bool:
        signers = signed_by(note, self.keys) or []
        return any(key.trusted and not key.stands(size) for key in signers)

    def check_manifest(self, manifest: bytes) -> None:
        raw = self.pack.read("manifest.note")
        size = self.usable[-1].size if self.usable else 0
        digest = sha256(manifest).hexdigest()
        expected = [FORMAT, self.head["origin"], digest, f"time_ms {self.head['created_ms']}", ""]
        try:
            note = parse_note(raw)
        except ValueError as error:
            self.tell("manifest_forged", str(error))
            return
        if note.text != "\n".join(expected):
            self.tell("manifest_forged", "manifest.note is of another manifest")
        elif not self._trusted(note, size):
            self.tell("manifest_forged", "manifest.note has no signature that counts")

    def read_consistency(self) -> None:
        proofs = {}
        for value in self.values("consistency.jsonl", CONSISTENCY):
            proofs[value["from"], value["to"]] = [b64decode(one) for one in value["hashes"]]
        for old, new in pairwise(self.usable):
            if old.size == new.size:
                holds = old.root == new.root
            else:
                proof = proofs.get((old.size, new.size))
                holds = old.size == 0 or (
                    proof is not None and old.size < new.size and consistency_holds(proof, old, new)
                )
            neighbours = int(new.place[-11:-5]) == int(old.place[-11:-5]) + 1
            if not holds and old.size <= new.size and (neighbours or not self.refused):
                self.unproven.append((old, new))

    def check_range(self) -> None:
        if self.refused:
            return
        first, end, query = self.head["first"], self.head["end"], self.head["query"]
        opening = [one for one in self.usable if one.size >= first]
        if first and not any(one.time_ms + CLOCK_SKEW_MS < query["from_ms"] for one in opening):
            self.tell("range_incomplete", f"records before {first} may be of the period")
        closing = [one for one in self.usable if one.size <= end]
        if not any(one.time_ms >= query["to_ms"] for one in closing):
            self.tell("range_incomplete", f"record {end} may have been sealed before it was over")

    def read_rules(self) -> None:
        for value in self.values("rules.jsonl", RULE_TEXT):
            key = value["id"], value["version"]
            if key in self.rules:
                self.tell("file_malformed", f"rules.jsonl: {key[0]}, version {key[1]}, twice")
            self.rules[key] = sha256(value["text"].encode()).hexdigest()

    # after the walk

    def check_roots(self) -> None:
        # A head that records do not lead to contradicts a later one that they do lead to. Without
        # such a one nothing tells a fork from records that were altered, their proofs with them.
        newest = max(self.agreed, default=0)
        explained: set[int] = set()
        for old, new in self.unproven:
            if old.size == new.size or self.disagreed.keys() & {
                one.size for one in (old, new) if one.size < newest
            }:
                self.tell("fork", f"{old.place} and {new.place}")
                explained |= {old.size, new.size}
            elif {old.size, new.size} <= self.agreed:
                self.tell("consistency_broken", f"{old.place} to {new.place}")
        for size, place in self.disagreed.items():
            if size not in explained:
                self.tell("records_altered", place)
                break

    def check_counts(self) -> None:
        population = self.value("population.json", lambda value: isinstance(value, dict))
        coverage = self.value("coverage.json", lambda value: isinstance(value, list))
        if self.unread:
            return
        if population is not None and population != self.tally.population():
            self.tell("population_mismatch", _encode(self.tally.population()))
        if coverage is not None and coverage != self.tally.coverage():
            self.tell("coverage_mismatch", f"{len(coverage)} rows")
        if self.tally.withheld:
            self.tell("withheld", f"{self.tally.withheld} records")
        query = self.head["query"]
        for (rule, control), row in self.tally.rows.items():
            late = row["from_ms"] > query["from_ms"] and not row["begins"]
            if late or (row["to_ms"] < query["to_ms"] and not row["ends"]):
                self.tell("coverage_edge", f"{rule}, {control}: {_span(row)}")

    def check_stamps(self) -> None:
        checkpoints = {one.place[-11:-5]: one for one in self.listed}
        for name in self.pack.numbered("stamps/"):
            raw, checkpoint = self.pack.read(name), checkpoints.get(name[-10:-4])
            try:
                imprint, at_ms = stamped(raw)
                whole = stamp_is_whole(raw)
            except (ValueError, IndexError) as error:
                self.tell("stamp_malformed", f"{name}: {error}")
                continue
            if checkpoint is None or sha256(checkpoint.raw).digest() != imprint:
                self.tell("stamp_foreign", name)
            elif not whole:
                self.tell("stamp_forged", f"{name}: it was changed")
            elif at_ms + CLOCK_SKEW_MS < checkpoint.time_ms:
                self.tell("stamp_foreign", f"{name}: it is older than the checkpoint")
            elif self.asked.authority is None:
                self.tell("stamps_unverified", name)
            elif not openssl_accepts(checkpoint.raw, raw, self.asked.authority):
                self.tell("stamp_forged", name)
            else:
                self.stamps += 1


def _span(row: dict[str, Any]) -> str:
    return f"{moment(row['from_ms'])} to {moment(row['to_ms'])}"


class Tally:
    """The counts of the population, and of coverage by rule and control."""

    def __init__(self, query: dict[str, Any] | None = None) -> None:
        self.query = query or {}
        self.kinds: Counter[str] = Counter()
        self.controls: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.others = self.withheld = 0

    def asks_for(self, record: dict[str, Any]) -> bool:
        query = self.query
        if not query["from_ms"] <= record["time_ms"] < query["to_ms"]:
            return False
        if query["kinds"] and record["kind"] not in query["kinds"]:
            return False
        if not query["frameworks"] and not query["controls"]:
            return True
        return any(
            control in query["controls"] or control.split(".")[0] in query["frameworks"]
            for control in record["controls"]
        )

    def population(self) -> dict[str, Any]:
        return {
            "by_control": dict(self.controls),
            "by_kind": dict(self.kinds),
            "by_verdict": dict(self.verdicts),
            "others": self.others,
            "records": self.kinds.total(),
            "withheld": self.withheld,
        }

    def coverage(self) -> list[dict[str, Any]]:
        names = ("from_ms", "to_ms", "intervals", *COUNTS)
        return [
            {"control": key[1], "rule": key[0], **{name: self.rows[key][name] for name in names}}
            for key in sorted(self.rows)
        ]


class Walk:
    """The log from left to right: every line is a leaf or a withheld subtree."""

    def __init__(self, verification: Verification) -> None:
        self.of = verification
        self.tell = verification.tell
        self.tree, self.tally, self.head = verification.tree, verification.tally, verification.head
        self.due = sorted(verification.usable, key=lambda one: one.size)
        self.sealing = 0
        self.ids: set[str] = set()
        self.missing: set[int] = set()
        self.key_rows: list[dict[str, Any]] = []
        self.payloads = BySeq(verification.values("payloads.jsonl", PAYLOAD), self.tell)
        self.absent = BySeq(verification.values("absent.jsonl", ABSENT), self.tell)

    def run(self) -> None:
        self._reach()
        for number, line in enumerate(self.of.pack.lines("log.jsonl", MAX_RECORD_BYTES), 1):
            try:
                value = parse(line)
            except ValueError as error:
                self._malformed(f"log.jsonl, line {number}: {error}")
                continue
            if isinstance(value, dict) and "hash" in value:
                self._withheld(value, number)
            elif fits(value, RECORD) and fits(value["body"], BODIES[value["kind"]]):
                self._record(value, line)
            else:
                self._malformed(f"log.jsonl, line {number}: other keys or values than the schema")
        self._finish()

    def _malformed(self, place: str) -> None:
        self.tell("record_malformed", place)
        self.of.whole, self.of.unread = False, True
        self.tree.size += 1

    def _withheld(self, value: dict[str, Any], number: int) -> None:
        at = self.tree.size
        if not fits(value, WITHHELD):
            self._malformed(f"log.jsonl, line {number}: other keys or values")
            return
        count, first = value["count"], value["first"]
        if first != at or count.bit_count() != 1 or first % count:
            self.tell("record_missing", f"log.jsonl, line {number}: {first} follows {at - 1}")
            self.of.whole = False
        hidden = max(0, min(first + count, self.head["end"]) - max(first, self.head["first"]))
        self.tally.withheld += hidden
        if hidden and self.head["disclosure"] == "all":
            self.tell("record_hidden", f"records {first} to {first + count - 1}")
        if self.of.whole:
            self.tree.add(b64decode(value["hash"]), count.bit_length() - 1)
        else:
            self.tree.size = first + count
        self._reach()

    def _record(self, record: dict[str, Any], line: bytes) -> None:
        seq, at = record["seq"], self.tree.size
        if seq == at:
            if self.of.whole:
                self.tree.add(leaf_hash(line))
            else:
                self.tree.size += 1
        else:
            self._displaced(seq, at)
        self._check(record)
        self._reach()

    def _displaced(self, seq: int, at: int) -> None:
        """Tell of a record that is not where its number says; roots mean nothing from here."""
        self.of.whole = False
        if seq > at:
            self.missing.update(range(at, min(seq, at + 10_000)))
            self.tree.size = seq + 1
        elif seq in self.missing:
            self.missing.remove(seq)
            self.tell("record_reordered", f"record {seq}")
        else:
            self.tell("record_inserted", f"record {seq} stands twice")

    def _reach(self) -> None:
        """Compare the root with that of the checkpoints that are reached now."""
        while self.sealing < len(self.due) and self.due[self.sealing].size <= self.tree.size:
            checkpoint = self.due[self.sealing]
            before = self.due[self.sealing - 1].size if self.sealing else 0
            self.sealing += 1
            if not self.of.whole:
                continue
            place = f"records {before} to {checkpoint.size - 1}, {checkpoint.place}"
            if checkpoint.size == self.tree.size and self.tree.root() == checkpoint.root:
                self.of.agreed.add(checkpoint.size)
            else:
                self.of.disagreed.setdefault(checkpoint.size, place)
        known = self.of.known
        if known and self.of.whole and known.size == self.tree.size:
            if self.tree.root() != known.root:
                self.tell("fork", f"{known.place}, of {known.size} records")
            self.of.known = None

    # one record

    def _check(self, record: dict[str, Any]) -> None:
        seq, kind, body = record["seq"], record["kind"], record["body"]
        if record["tenant"] != self.head["tenant"]:
            self.tell("record_foreign", f"record {seq}: {record['tenant'][:60]}")
        identity = f"{kind} {record['id']}"
        if identity in self.ids:
            self.tell("record_replayed", f"record {seq}: {identity[:120]}")
        self.ids.add(identity)
        if self.sealing < len(self.due):
            sealed = self.due[self.sealing]
            over_ms = body["to_ms"] if kind == "coverage" else record["time_ms"]
            if over_ms > sealed.time_ms + CLOCK_SKEW_MS:
                self.tell("record_postdated", f"record {seq}, {sealed.place}")
        self._check_payload(seq, record["commitment"])
        if kind == "key":
            self.key_rows.append({"seq": seq, **body})
        self._count(record)

    def _count(self, record: dict[str, Any]) -> None:
        tally, body, seq = self.tally, record["body"], record["seq"]
        if not tally.asks_for(record):
            tally.others += 1
            if self.head["disclosure"] == "selected" and record["kind"] != "key":
                self.tell("population_mismatch", f"record {seq} was not asked for")
            return
        tally.kinds[record["kind"]] += 1
        tally.controls.update(record["controls"])
        if "rule" in body:
            self._check_rule(seq, body["rule"])
        if record["kind"] == "verdict":
            tally.verdicts[body["verdict"]] += 1
        elif record["kind"] == "coverage":
            self._cover(seq, record["controls"], body)

    def _check_rule(self, seq: int, rule: dict[str, Any]) -> None:
        known = self.of.rules.get((rule["id"], rule["version"]))
        if known != rule["sha256"]:
            code = "rule_missing" if known is None else "rule_altered"
            self.tell(code, f"record {seq}: {rule['id']}, version {rule['version']}")

    def _cover(self, seq: int, controls: list[str], body: dict[str, Any]) -> None:
        place = f"record {seq}: {body['rule']['id']}, {' '.join(controls)}"
        judged = body["satisfied"] + body["violated"] + body["inconclusive"]
        if len(controls) != 1 or judged > body["judged"] or body["to_ms"] <= body["from_ms"]:
            self.tell("coverage_impossible", place)
        if not controls:
            return
        key = (body["rule"]["id"], controls[0])
        row = self.tally.rows.get(key)
        if row is None:
            span = {name: body[name] for name in ("from_ms", "to_ms", "begins", "ends")}
            row = self.tally.rows[key] = {**span, "intervals": 0, **dict.fromkeys(COUNTS, 0)}
        elif body["from_ms"] < row["to_ms"]:
            self.tell("coverage_overlap", place)
        elif body["from_ms"] > row["to_ms"] and not (row["ends"] and body["begins"]):
            self.tell("coverage_gap", f"{place}, from {moment(row['to_ms'])}")
        row["to_ms"], row["ends"] = max(row["to_ms"], body["to_ms"]), body["ends"]
        row["from_ms"] = min(row["from_ms"], body["from_ms"])
        row["intervals"] += 1
        for name in COUNTS:
            row[name] += body[name]

    def _check_payload(self, seq: int, commitment: str) -> None:
        payload, absent = self.payloads.take(seq), self.absent.take(seq)
        if not commitment:
            if payload or absent:
                self.tell("payload_unexpected", f"record {seq}")
        elif payload:
            salted = b64decode(payload["salt"]) + payload["payload"].encode()
            if sha256(salted).hexdigest() != commitment:
                self.tell("commitment_mismatch", f"record {seq}")
        elif not absent:
            self.tell("payload_missing", f"record {seq}")

    # the end

    def _finish(self) -> None:
        for seq in sorted(self.missing):
            self.tell("record_missing", f"record {seq}")
        size = self.due[-1].size if self.due else self.tree.size
        if self.tree.size < size:
            self.tell(
                "records_truncated", f"record {self.tree.size} of {size} is the first missing"
            )
        elif self.tree.size > size and not self.of.refused:
            self.tell("record_inserted", f"records from {size} on are sealed by no checkpoint")
        self.payloads.finish()
        self.absent.finish()
        known = self.of.known
        if known and known.size > size:
            self.tell("pack_outdated", f"{known.place} has {known.size} records, the pack {size}")
        elif known and self.of.whole:
            self.tell("checkpoint_unreached", f"{known.size} records")
        if self.of.whole and not self.of.disagreed:
            self._check_keys()

    def _check_keys(self) -> None:
        rows: list[dict[str, Any]] = []
        for event in self.key_rows:
            if event["event"] == "revoked":
                for row in rows:
                    if row["verifier_key"] == event["verifier_key"]:
                        row["revoked_since"] = event["since_size"]
                continue
            for row in rows:
                if row["retired"] is None:
                    row["retired"] = event["seq"]
            names = ("endorsement", "verifier_key")
            fresh = {"introduced": event["seq"], "retired": None, "revoked_since": None}
            rows.append({**{name: event[name] for name in names}, **fresh})
        if rows != [key.row for key in self.of.keys]:
            self.tell("key_contradicted", f"the log has {len(rows)} keys")


class BySeq:
    """Values of a file that are sorted by seq, taken while the log goes by."""

    def __init__(self, values: Iterator[dict[str, Any]], tell: Callable[[str, str], None]) -> None:
        self._values, self._tell = values, tell
        self._next = next(values, None)

    def take(self, seq: int) -> dict[str, Any] | None:
        """Return the value of a record, None if there is none."""
        while self._next and self._next["seq"] < seq:
            self._pass()
        taken = self._next if self._next and self._next["seq"] == seq else None
        if taken:
            self._next = next(self._values, None)
        return taken

    def finish(self) -> None:
        """Tell of what no record has taken."""
        while self._next:
            self._pass()

    def _pass(self) -> None:
        if self._next:
            self._tell("payload_unexpected", f"record {self._next['seq']}")
        self._next = next(self._values, None)


# the result


def verify(file: BinaryIO, asked: Asked | None = None) -> dict[str, Any]:
    """Verify a pack; return the result as JSON values."""
    findings = Findings()
    verification: Verification | None = None
    try:
        with _archive(file) as archive:
            pack = Pack(archive, file.seek(0, io.SEEK_END), findings.tell)
            verification = Verification(pack, findings, asked or Asked())
            verification.run()
    except Unreadable as error:
        findings.tell("pack_unreadable", str(error))
    return _result(findings, verification)


def _archive(file: BinaryIO) -> ZipFile:
    """Open a zip archive; whatever its directory makes `zipfile` raise is Unreadable."""
    try:
        return ZipFile(file)
    except _DAMAGED as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _result(findings: Findings, of: Verification | None) -> dict[str, Any]:
    failures = findings.rows(REASONS)
    result: dict[str, Any] = {
        "format": RESULT,
        "valid": not failures,
        "failures": failures,
        "warnings": findings.rows(WARNINGS),
    }
    if of is not None and of.head:
        newest = of.usable[-1] if of.usable else None
        result |= {
            "tenant": of.head["tenant"],
            "origin": of.head["origin"],
            "query": of.head["query"],
            "range": {"first": of.head["first"], "end": of.head["end"]},
            "checkpoints": len(of.usable),
            "newest": newest and {"size": newest.size, "root": b64encode(newest.root).decode()},
            "sealed_ms": newest and newest.time_ms,
            "stamps": of.stamps,
            "keys": [key.row["verifier_key"] for key in of.keys],
            "population": of.tally.population(),
            "coverage": of.tally.coverage(),
        }
    return result


def moment(ms: int) -> str:
    """Return Unix milliseconds as people read them, in UTC."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def report(result: dict[str, Any]) -> str:
    """Return the result for reading."""
    lines = ["VALID" if result["valid"] else "NOT VALID", ""]
    if "tenant" in result:
        lines += _facts(result)
    for title in ("failures", "warnings"):
        for row in result[title]:
            times = f" ({row['times']} times)" if row["times"] > 1 else ""
            lines += ["", f"{title[:-1]} {row['code']}{times}: {row['what']}"]
            lines += [f"    {_printable(place)}" for place in row["where"][:5]]
    return "\n".join(lines) + "\n"


def _facts(result: dict[str, Any]) -> list[str]:
    query, population, newest = result["query"], result["population"], result["newest"] or {}
    asked = [*query["frameworks"], *query["controls"], *query["kinds"]]
    lines = [
        f"tenant       {result['tenant']}",
        f"log          {result['origin']}",
        f"period       {moment(query['from_ms'])} to {moment(query['to_ms'])} UTC",
        f"asked for    {', '.join(asked) or 'everything'}",
        f"records      {population['records']} asked for, {population['others']} beside them, "
        f"{population['withheld']} withheld",
        f"checkpoints  {result['checkpoints']}, the newest of {newest.get('size', 0)} records",
    ]
    if result["stamps"]:
        lines.append(f"time stamps  {result['stamps']} verified")
    for name in ("by_kind", "by_verdict", "by_control"):
        lines += [f"    {count:>9}  {key}" for key, count in sorted(population[name].items())]
    for row in result["coverage"]:
        lines.append(
            f"coverage     {row['rule']}, {row['control']}: {row['judged']} judged, "
            f"{row['violated']} violated, {row['inconclusive']} inconclusive; {_span(row)}"
        )
    return [_printable(line) for line in lines]


def _printable(text: str) -> str:
    """Return text from a pack without what a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Verify a pack of evidence from BeTrace, offline.")
    parser.add_argument("pack", type=Path)
    parser.add_argument("--key", action="append", default=[], help="a verifier key that you know")
    parser.add_argument("--checkpoint", type=Path, help="the last checkpoint that you have seen")
    parser.add_argument("--tsa", type=Path, help="certificate of the time-stamping authority")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        for key in options.key:
            parse_key(key)
        checkpoint = options.checkpoint.read_bytes() if options.checkpoint else b""
        if options.tsa and not (options.tsa.is_file() and shutil.which("openssl")):
            raise ValueError("--tsa needs a certificate that is there, and openssl")
        with options.pack.open("rb") as file:
            result = verify(file, Asked(options.key, checkpoint, options.tsa))
    except (OSError, ValueError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if options.json else report(result), end="")
    return 0 if result["valid"] else 1


if __name__ == "__main__":
    sys.exit(main())
