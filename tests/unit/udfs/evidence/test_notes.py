"""Signed notes, verifier keys and checkpoints: Go's published example, and what is refused."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.evidence import LocalSigner
from udfs.evidence.checkpoints import Checkpoint, parse_checkpoint
from udfs.evidence.keys import VerifierKey, parse_verifier_key
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import Note, NoteSignature, parse_note, sign_note

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngo"
    "tpRZb6KE6RyyBwJnAM=\n"
)
"""The example of golang.org/x/mod/sumdb/note."""

ORIGIN = "betrace.example/log/6f0c"


def peter() -> VerifierKey:
    """Return the key of the example."""
    key = parse_verifier_key(PETER)
    assert isinstance(key, VerifierKey)
    return key


def read(raw: str) -> Note:
    """Return a note that can be read."""
    note = parse_note(raw.encode())
    assert isinstance(note, Note)
    return note


def test_the_published_note_is_read_and_believed() -> None:
    note = read(NOTE)
    assert (note.text, str(note)) == (TEXT, NOTE)
    assert note.signed_by([peter()]) == [peter()]


def test_signing_gives_the_published_bytes() -> None:
    secret = Ed25519PrivateKey.from_private_bytes(b64decode(PETERS_SECRET)[1:])
    signer = LocalSigner(secret)
    assert str(VerifierKey("PeterNeumann", signer.public_key)) == PETER
    assert str(sign_note(TEXT, name="PeterNeumann", signers=[signer])) == NOTE


def test_a_changed_text_makes_the_whole_note_unbelievable() -> None:
    changed = read(NOTE.replace("problem is", "problem was"))
    assert isinstance(changed.signed_by([peter()]), Malformed)


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    stranger = VerifierKey("PeterNeumann", LocalSigner.numbered(3).public_key)
    assert read(NOTE).signed_by([stranger]) == []


def test_two_keys_sign_at_a_rotation() -> None:
    signers = [LocalSigner.numbered(1), LocalSigner.numbered(2)]
    keys = [VerifierKey(ORIGIN, signer.public_key) for signer in signers]
    note = read(str(sign_note("text\n", name=ORIGIN, signers=signers)))
    assert note.signed_by(keys) == keys
    assert note.signed_by(keys[1:]) == keys[1:]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("— ", "- "),
        NOTE.replace("PeterNeumann x", "Peter Neumann x"),
        NOTE.replace("PeterNeumann x", "Peter+Neumann x"),
        NOTE.replace("BwJnAM=", "BwJnAM"),
        NOTE.replace("\nthen", "\tthen"),
        TEXT + "\n" + str(NoteSignature("a", b"1234", b"")),
        TEXT + "\n" + str(NoteSignature("a", b"1234", b"5")) * 65,
    ],
)
def test_what_is_no_note_is_refused(raw: str) -> None:
    assert isinstance(parse_note(raw.encode()), Malformed)


def test_what_is_not_utf_8_or_too_long_is_refused() -> None:
    assert isinstance(parse_note(b"\xff\n\n" + NOTE.encode()), Malformed)
    assert isinstance(parse_note(b"a\n" * 40_000 + b"\n" + NOTE.encode()), Malformed)


@pytest.mark.parametrize("text", ["", "no newline", "a tab\t\n", "nothing \x00\n"])
def test_a_text_that_could_not_be_read_back_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="ends with a newline"):
        sign_note(text, name=ORIGIN, signers=[LocalSigner.numbered(1)])


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb"])
def test_a_name_that_no_note_can_hold_names_no_key(name: str) -> None:
    with pytest.raises(ValueError, match="names no key"):
        VerifierKey(name, bytes(32))


def test_every_mangled_verifier_key_is_refused() -> None:
    for at in range(len(PETER)):
        mangled = PETER[:at] + chr(ord(PETER[at]) + 1) + PETER[at + 1 :]
        assert isinstance(parse_verifier_key(mangled), Malformed), mangled
        assert isinstance(parse_verifier_key(PETER[:at]), Malformed)
    other_type = VerifierKey("PeterNeumann", peter().public_key)
    packed = b64encode(b"\x02" + other_type.public_key).decode()
    assert isinstance(parse_verifier_key(f"PeterNeumann+c74f20a3+{packed}"), Malformed)


def test_a_checkpoint_is_read_as_it_was_signed() -> None:
    checkpoint = Checkpoint(ORIGIN, 20_852_163, bytes(range(32)), 1_795_000_000_123)
    note = read(str(checkpoint.sign([LocalSigner.numbered(1)])))
    assert note.text == (
        f"{ORIGIN}\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\ntime_ms 1795000000123\n"
    )
    assert parse_checkpoint(note) == checkpoint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n7\n", "\n07\n"),
        ("\n7\n", "\n-7\n"),
        ("\n7\n", "\n7\n7\n"),
        ("time_ms 9", "time 9"),
        ("time_ms 9\n", ""),
        ("AAAA=", "AAAB="),
        ("AAAA=", "AAAA"),
    ],
)
def test_what_is_no_checkpoint_is_refused(old: str, new: str) -> None:
    text = str(Checkpoint(ORIGIN, 7, bytes(32), 9))
    assert old in text
    assert isinstance(parse_checkpoint(Note(text.replace(old, new), ())), Malformed)
