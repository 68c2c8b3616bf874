"""Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature.

    betrace.example/log/6f0c…
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — betrace.example/log/6f0c… Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q…

What is signed is the text with its last newline and without the empty line.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from udfs.evidence.keys import Signer, VerifierKey
from udfs.evidence.malformed import Malformed

MAX_SIGNATURES: Final = 64
MAX_BYTES: Final = 64 * 1024

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIGNATURE: Final = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. signature: what follows the key id, 64 bytes for Ed25519."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends with a newline, and its signatures, none of them verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))

    def signed_by(self, keys: Iterable[VerifierKey]) -> list[VerifierKey] | Malformed:
        """Return which of the keys signed; signatures of other keys are passed over.

        Malformed if one of the keys is named and its signature is wrong: then no part of the note
        is to be believed.
        """
        known = {(key.name, key.id): key for key in keys}
        signers = []
        for one in self.signatures:
            key = known.get((one.name, one.key_id))
            if key is None:
                continue
            if not key.accepts(one.signature, self.text.encode()):
                return Malformed(f"the signature of {one.name}+{one.key_id.hex()} is wrong")
            signers.append(key)
        return signers


def sign_note(text: str, *, name: str, signers: Iterable[Signer]) -> Note:
    """Sign a text with one or more keys (at a rotation, the old one and the new one).

    Raises ValueError if the text could not be read back: it must end with a newline and hold no
    control characters but newlines.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ValueError("the text of a note ends with a newline and has no control characters")
    signatures = [
        NoteSignature(name, VerifierKey(name, signer.public_key).id, signer.sign(text.encode()))
        for signer in signers
    ]
    if not signatures:
        raise ValueError("a note needs a signer")
    return Note(text, tuple(signatures))


def parse_note(raw: bytes) -> Note | Malformed:
    """Read a note without believing it; `signed_by` tells who signed."""
    if len(raw) > MAX_BYTES:
        return Malformed(f"a note of {len(raw)} bytes; {MAX_BYTES} are the most")
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        return Malformed("the note is not UTF-8")
    if _CONTROL.search(whole):
        return Malformed("the note has control characters other than newlines")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        return Malformed("the note has no empty line before signatures, or no newline at its end")
    signatures = []
    for line in lines[:-1].split("\n"):
        signature = _signature(line)
        if signature is None:
            return Malformed("a line below the text is no signature: — name base64")
        signatures.append(signature)
    if len(signatures) > MAX_SIGNATURES:
        return Malformed(f"the note has {len(signatures)} signatures; {MAX_SIGNATURES} at most")
    return Note(text + "\n", tuple(signatures))


def _signature(line: str) -> NoteSignature | None:
    found = _SIGNATURE.fullmatch(line)
    if not found or "+" in found[1]:
        return None
    try:
        packed = b64decode(found[2], validate=True)
    except NotBase64:
        return None
    return NoteSignature(found[1], packed[:4], packed[4:]) if len(packed) > 4 else None
