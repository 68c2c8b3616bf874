"""Checkpoints (C2SP tlog-checkpoint): what a log says of itself at a size, and when.

    betrace.example/log/6f0c…                        the origin, one per tenant
    20852163                                         leaves
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root
    time_ms 1795000000123                            when it was sealed, an extension line

The time is signed with the root: an idle log says that it is unchanged by a later checkpoint of the
same size, and a pack can show that nothing of its period was sealed before it begins.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from udfs.evidence.keys import Signer
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import Note, sign_note

_BODY: Final = re.compile(
    r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"time_ms (?P<time_ms>0|[1-9][0-9]{0,15})\n"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's head. root: 32 bytes; time_ms: when it was sealed, Unix time."""

    origin: str
    size: int
    root: bytes
    time_ms: int

    def __str__(self) -> str:
        root = b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime_ms {self.time_ms}\n"

    def sign(self, signers: Iterable[Signer]) -> Note:
        """Return the signed note; several signers at a rotation, the key in force among them."""
        return sign_note(str(self), name=self.origin, signers=signers)


def parse_checkpoint(note: Note) -> Checkpoint | Malformed:
    """Read the text of a note as a checkpoint; who signed it is for the caller to ask."""
    found = _BODY.fullmatch(note.text)
    if not found:
        return Malformed("a checkpoint is four lines: origin, size, base64 root, time_ms")
    root = b64decode(found["root"])
    if b64encode(root).decode() != found["root"]:
        return Malformed("the root is not base64 in its one canonical form")
    return Checkpoint(found["origin"], int(found["size"]), root, int(found["time_ms"]))
