"""PACK.zip: what an auditor gets, and where in it what stands.

    manifest.json       SHA-256 and size of every other file
    manifest.note       signed: format, origin, SHA-256 of manifest.json, when it was made
    pack.json           tenant, origin, query, what is disclosed
    keys.json           every key of the log, from and up to when it counts
    log.jsonl           the whole log in order: records, and hashes in place of what is withheld
    checkpoints/NNNNNN.note   signed tree heads, oldest first
    stamps/NNNNNN.tsr   RFC 3161 answer over the checkpoint of that number, where there is one
    consistency.jsonl   RFC 6962 proofs from each checkpoint to the next
    payloads.jsonl      what is personal, with salts, by record
    absent.jsonl        payloads that are not here: erased, or left out of this pack
    rules.jsonl         texts of the rules that judged, who approved them
    suppressions.jsonl  exceptions that silenced signals
    population.json     how many records there are, by kind and control
    coverage.json       sums of the intervals by rule and control
    README.txt          how to check it

JSON is canonical by RFC 8785; a line of a .jsonl is one value. A line of log.jsonl is a record,
whose bytes are the leaf, or {"count":4,"first":0,"hash":"…"}: a full subtree that is not shown.
Walking the lines from left to right gives the root at every size that a checkpoint signs, so there
are no proofs of inclusion by record: they would be twenty times as long and as slow to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from udfs.evidence.canonical import Json
from udfs.evidence.records import Kind

FORMAT: Final = "betrace.pack/1"

MANIFEST: Final = "manifest.json"
MANIFEST_NOTE: Final = "manifest.note"
PACK: Final = "pack.json"
KEYS: Final = "keys.json"
LOG: Final = "log.jsonl"
CONSISTENCY: Final = "consistency.jsonl"
PAYLOADS: Final = "payloads.jsonl"
ABSENT: Final = "absent.jsonl"
RULES: Final = "rules.jsonl"
SUPPRESSIONS: Final = "suppressions.jsonl"
POPULATION: Final = "population.json"
COVERAGE: Final = "coverage.json"
README: Final = "README.txt"


def checkpoint_file(number: int) -> str:
    """Return the name of a checkpoint's file; numbers count from 1."""
    return f"checkpoints/{number:06}.note"


def stamp_file(number: int) -> str:
    """Return the name of the time stamp of a checkpoint."""
    return f"stamps/{number:06}.tsr"


class Disclosure(StrEnum):
    """What of the range of records is in the pack.

    ALL: every record of the range, whatever the query asks; the verifier selects by itself.
    SELECTED: what the query asks for; of the others the hashes. That nothing was left out then
    rests on the word of who exported it.
    """

    ALL = "all"
    SELECTED = "selected"


class Why(StrEnum):
    """Why a payload is not in the pack."""

    ERASED = "erased"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for. Empty tuples ask for all; time runs from from_ms up to to_ms.

    A record is asked for by a framework or by one of the controls.
    """

    from_ms: int
    to_ms: int
    frameworks: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()

    def asks_for(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record, as its JSON object, is in the population."""
        if not self.from_ms <= record["time_ms"] < self.to_ms:
            return False
        if self.kinds and record["kind"] not in self.kinds:
            return False
        if not self.frameworks and not self.controls:
            return True
        return any(
            control in self.controls or control.partition(".")[0] in self.frameworks
            for control in record["controls"]
        )


@dataclass(frozen=True, slots=True)
class PackHead:
    """What a pack is of. first, end: the records of which none is missing, first up to end."""

    tenant: str
    origin: str
    query: Query
    disclosure: Disclosure
    first: int
    end: int
    created_ms: int
    generator: str


@dataclass(frozen=True, slots=True)
class SealedCheckpoint:
    """A signed checkpoint as it was published; stamp: DER TimeStampResp over it, or empty."""

    note: bytes
    stamp: bytes = b""


@dataclass(frozen=True, slots=True)
class AbsentPayload:
    """A payload that is not in the pack. by: seq of the act that erased it, or None."""

    seq: int
    why: Why
    at_ms: int
    by: int | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """Who let a version of a rule take effect. by: user:<id> or key:<id>."""

    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RuleText:
    """The text of a rule's version; its hash stands in the records that it made."""

    id: str
    version: int
    text: str
    controls: tuple[str, ...]
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True)
class Suppression:
    """An exception that silenced signals of a rule. until_ms: 0 for no end."""

    rule: str
    where: str
    reason: str
    owner: str
    until_ms: int
    signals: int


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of the log. introduced, retired: seq of the records that say so.

    It counts for checkpoints up to the size retired and up to revoked_since, where they are set.
    """

    verifier_key: str
    introduced: int
    endorsement: str
    retired: int | None = None
    revoked_since: int | None = None

    def to_dict(self) -> dict[str, Json]:
        """Return a row of keys.json."""
        return {
            "endorsement": self.endorsement,
            "introduced": self.introduced,
            "retired": self.retired,
            "revoked_since": self.revoked_since,
            "verifier_key": self.verifier_key,
        }
