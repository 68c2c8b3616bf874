"""A pack of evidence taken apart, to be changed and put together again, manifest and all."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from zipfile import ZipFile

from tests.support.evidence import EvidenceLog, LocalSigner
from udfs.evidence.canonical import canonical_plain
from udfs.evidence.checkpoints import Checkpoint, parse_checkpoint
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import parse_note, sign_note
from udfs.evidence.pack import Query
from udfs.evidence.records import Kind
from udfs.evidence.tally import Tally


@dataclass
class Opened:
    """A pack taken apart, to be changed and put together again."""

    log: EvidenceLog
    files: dict[str, bytes] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    """Verifier keys that the verifier knows."""
    checkpoint: bytes = b""
    """What the verifier has seen before."""
    recounts: bool = True
    remanifests: bool = True
    signer: LocalSigner | None = None
    """Who signs the manifest, if not the log."""

    @classmethod
    def of(cls, log: EvidenceLog, pack: bytes | None = None) -> Opened:
        """Take apart the pack of a log, the whole one if none is given."""
        with ZipFile(io.BytesIO(pack or log.pack())) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        return cls(log, files, [log.verifier_key()])

    def lines(self, name: str = "log.jsonl") -> list[dict[str, Any]]:
        """Return the values of a file of lines."""
        return [json.loads(line) for line in self.files[name].splitlines()]

    def put(self, values: list[dict[str, Any]], name: str = "log.jsonl") -> None:
        """Write the lines of a file anew."""
        self.files[name] = b"".join(canonical_plain(value) + b"\n" for value in values)

    def value(self, name: str) -> Any:
        """Return the value of a JSON file."""
        return json.loads(self.files[name])

    def edit(self, name: str, **changes: Any) -> None:
        """Change fields of a JSON file."""
        self.files[name] = canonical_plain(self.value(name) | changes)

    def checkpoint_edit(self, number: int, old: bytes, new: bytes) -> None:
        """Change the text of a checkpoint and leave its signature."""
        name = f"checkpoints/{number:06}.note"
        assert old in self.files[name]
        self.files[name] = self.files[name].replace(old, new, 1)

    def resign(self, number: int, *signers: LocalSigner) -> None:
        """Sign a checkpoint anew, by other keys."""
        name = f"checkpoints/{number:06}.note"
        self.files[name] = str(self.checkpoint_at(number).sign(signers)).encode()

    def checkpoint_at(self, number: int) -> Checkpoint:
        """Return a checkpoint of the pack."""
        note = parse_note(self.files[f"checkpoints/{number:06}.note"])
        assert not isinstance(note, Malformed)
        checkpoint = parse_checkpoint(note)
        assert not isinstance(checkpoint, Malformed)
        return checkpoint

    def close(self, *, signed: bool) -> bytes:
        """Put the pack together; signed: the attacker can have the manifest signed."""
        if self.recounts:
            self._recount()
        if self.remanifests:
            self._remanifest(signed)
        file = io.BytesIO()
        with ZipFile(file, "w") as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        return file.getvalue()

    def _recount(self) -> None:
        head = self.value("pack.json")
        query = head["query"]
        tally = Tally(
            Query(
                from_ms=query["from_ms"],
                to_ms=query["to_ms"],
                controls=tuple(query["controls"]),
                kinds=tuple(map(Kind, query["kinds"])),
            )
        )
        for record in self.lines():
            if "seq" in record:
                tally.count(record)
            else:
                begin, end = record["first"], record["first"] + record["count"]
                tally.withhold(max(0, min(end, head["end"]) - max(begin, head["first"])))
        self.files["population.json"] = canonical_plain(tally.population())
        self.files["coverage.json"] = canonical_plain(tally.coverage())  # type: ignore[arg-type]

    def _remanifest(self, signed: bool) -> None:
        files = {
            name: {"bytes": len(content), "sha256": sha256(content).hexdigest()}
            for name, content in self.files.items()
            if not name.startswith("manifest.")
        }
        manifest = canonical_plain({"files": files, "format": "betrace.pack/1"})
        self.files["manifest.json"] = manifest
        if not signed:
            return
        head = self.value("pack.json")
        text = "\n".join(
            [
                "betrace.pack/1",
                head["origin"],
                sha256(manifest).hexdigest(),
                f"time_ms {head['created_ms']}",
                "",
            ]
        )
        signers = [self.signer or self.log.signer]
        self.files["manifest.note"] = str(
            sign_note(text, name=head["origin"], signers=signers)
        ).encode()
