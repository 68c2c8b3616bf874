"""Lists of records as one file: JSON or JSON lines, with a manifest that is signed.

    evidence.jsonl                              evidence.json
    ──────────────                              ─────────────
    {"body":…,"seq":3,…}                        {"records":[
    {"body":…,"seq":8,…}                        {"body":…,"seq":3,…},
    {"manifest":{…},"note":"…"}                 {"body":…,"seq":8,…}
                                                ],"manifest":{…},"note":"…"}

A record's line is its leaf, the same bytes in both and in a pack. The manifest has SHA-256 over the
lines, each with a line feed, so one file can be made from the other. The note (C2SP signed-note)
signs the hash of the manifest's canonical bytes:

    betrace.export/1
    betrace.example/log/6f0c…                   the origin
    5feceb66ffc86f38d952786c6d696c79…           SHA-256 of the manifest, hex
    time_ms 1795000000123

It tells that the file is as it was exported, and by whose key. That nothing was left out, a pack
proves and this does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from udfs.evidence.canonical import Json, NotCanonical, canonical
from udfs.evidence.keys import Signer, VerifierKey
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import parse_note, sign_note
from udfs.evidence.record_codec import decode_record

FORMAT: Final = "betrace.export/1"
JSON_BEGIN: Final = b'{"records":[\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHead:
    """What an export is of. query: the filters as they were given; end: size of the log that it
    was made at, and the checkpoint of that size as it was signed, empty for none."""

    tenant: str
    origin: str
    query: Mapping[str, Json]
    end: int
    checkpoint: str
    created_ms: int
    generator: str


class ExportTally:
    """Counts and hashes the lines of an export while they go by."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = sha256()
        self._bytes = 0

    def add(self, line: bytes) -> None:
        """Take a record's line, without a line feed."""
        self._hash.update(line)
        self._hash.update(b"\n")
        self.count += 1
        self._bytes += len(line) + 1

    def figures(self) -> dict[str, Json]:
        """Return what of the manifest is counted."""
        return {"bytes": self._bytes, "records": self.count, "sha256": self._hash.hexdigest()}

    def manifest(self, head: ExportHead, *, complete: bool) -> dict[str, Json]:
        """Return the manifest. complete: every record that the query chooses is in the file."""
        return {
            **self.figures(),
            "checkpoint": head.checkpoint,
            "complete": complete,
            "created_ms": head.created_ms,
            "end": head.end,
            "format": FORMAT,
            "generator": head.generator,
            "origin": head.origin,
            "query": head.query,
            "tenant": head.tenant,
        }


def sign_manifest(manifest: Mapping[str, Any], signer: Signer) -> str:
    """Return the signed note of a manifest. Raises what the keeper of the key raises."""
    text = _text(manifest, canonical(manifest))
    return str(sign_note(text, name=manifest["origin"], signers=[signer]))


def jsonl_end(manifest: Mapping[str, Json], note: str) -> bytes:
    """Return the last line of a file of JSON lines. note: empty, and the manifest says why."""
    return canonical({"manifest": manifest, "note": note}) + b"\n"


def json_end(manifest: Mapping[str, Json], note: str) -> bytes:
    """Return what follows the records in a JSON file."""
    return b'\n],"manifest":%s,"note":%s}\n' % (canonical(manifest), canonical(note))


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """What checking a file found. problems: sentences, none for a file as it was exported.

    signers: verifier keys that signed it, of those that were given.
    """

    records: int
    manifest: Mapping[str, Any]
    problems: tuple[str, ...]
    signers: tuple[str, ...] = ()


def check_export(lines: Iterable[bytes], keys: Sequence[VerifierKey]) -> CheckedExport:
    """Check a file in either form, as it was written: any other layout is a problem.

    lines: with or without their line feeds. keys: of the log, known from elsewhere; without one
    nothing is said of the signature.
    """
    tally = ExportTally()
    problems: list[str] = []
    end: tuple[Mapping[str, Any], str] | None = None
    for number, line in enumerate(_records_and_end(lines), 1):
        if end is not None:
            problems.append(f"line {number} comes after the manifest")
            break
        end = _end(line)
        if end is None:
            record = decode_record(line)
            if isinstance(record, Malformed):
                problems.append(f"line {number} is no record: {record}")
            tally.add(line)
    if end is None:
        return CheckedExport(tally.count, {}, (*problems, "there is no manifest at the end"))
    manifest, note = end
    counted = tally.figures()
    differing = ", ".join(name for name in counted if manifest.get(name) != counted[name])
    if differing:
        problems.append(f"the records are not those of the manifest: {differing} differ")
    signers, trouble = _signers(manifest, note, keys)
    problems += [trouble] if trouble else []
    return CheckedExport(tally.count, manifest, tuple(problems), signers)


def _records_and_end(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the records, and what stands at the end as JSON lines have it."""
    as_json = False
    for number, raw in enumerate(lines):
        line = raw.rstrip(b"\n")
        if number == 0 and line + b"\n" == JSON_BEGIN:
            as_json = True
        elif as_json and line.startswith(b"],"):
            yield b"{" + line.removeprefix(b"],")
        elif line or not as_json:
            yield line.removesuffix(b",") if as_json else line


def _end(line: bytes) -> tuple[Mapping[str, Any], str] | None:
    """Return manifest and note if the line is the end of a file."""
    if not line.startswith(b'{"manifest":'):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    manifest, note = value.get("manifest"), value.get("note")
    if not isinstance(manifest, dict) or not isinstance(note, str):
        return None
    return manifest, note


def _signers(
    manifest: Mapping[str, Any], note: str, keys: Sequence[VerifierKey]
) -> tuple[tuple[str, ...], str]:
    """Return which of the keys signed the manifest, and what is wrong with the signature."""
    if not note:
        return (), "it is not signed"
    parsed = parse_note(note.encode())
    if isinstance(parsed, Malformed):
        return (), f"the signature cannot be read: {parsed}"
    try:
        text = _text(manifest, canonical(manifest))
    except (NotCanonical, KeyError):
        return (), "the manifest cannot be read"
    if parsed.text != text:
        return (), "the signature is of another manifest"
    if not keys:
        return (), ""
    signers = parsed.signed_by(keys)
    if isinstance(signers, Malformed):
        return (), f"{signers}"
    if not signers:
        return (), "none of the keys that were given has signed it"
    return tuple(map(str, signers)), ""


def _text(manifest: Mapping[str, Any], written: bytes) -> str:
    digest = sha256(written).hexdigest()
    return f"{FORMAT}\n{manifest['origin']}\n{digest}\ntime_ms {manifest['created_ms']}\n"
