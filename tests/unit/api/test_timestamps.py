"""What a real time-stamping authority (OpenSSL's) answers, and what is made of it on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from rfc3161_client import TimeStampRequest

from api.anchors.model import NotAnchored
from api.anchors.signers import refuse_another_signer
from api.anchors.timestamps import accept, new_request, read_certificates
from tests.support.authority import Authority, with_twin
from udfs.evidence.verify import openssl_accepts, stamped

DATA = b"betrace.example/log/1\n7\n"
MINUTES = timedelta(minutes=6)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all tests."""
    return Authority.made_in(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def asked() -> TimeStampRequest:
    """One question."""
    return new_request(DATA)


@pytest.fixture(scope="module")
def answer(authority: Authority, asked: TimeStampRequest) -> bytes:
    """The true answer to it."""
    return authority.answer(asked.as_bytes())


def accepted(
    answer: bytes,
    asked: TimeStampRequest,
    authority: Authority,
    *,
    data: bytes = DATA,
    now: datetime | None = None,
) -> datetime:
    return accept(
        answer,
        asked=asked,
        data=data,
        trusted=read_certificates(authority.certificate.read_text()),
        now=now or datetime.now(UTC),
    )


def test_a_true_answer_is_taken_and_auditors_take_it_as_well(
    authority: Authority, asked: TimeStampRequest, answer: bytes, tmp_path: Path
) -> None:
    at = accepted(answer, asked, authority)
    assert stamped(answer)[1] == int(at.timestamp()) * 1000
    assert openssl_accepts(DATA, answer, authority.certificate)
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)


def _edited_time(answer: bytes) -> bytes:
    at = answer.index(b"\x18\x0f20") + 2
    return answer[:at] + b"2019" + answer[at + 4 :]


def _cut(answer: bytes) -> bytes:
    return answer[:-1]


def _flipped(answer: bytes) -> bytes:
    return answer[:-10] + bytes([answer[-10] ^ 1]) + answer[-9:]


def _nothing(answer: bytes) -> bytes:
    return b""


def _page(answer: bytes) -> bytes:
    return b"<html>Sign in to the hotel's network</html>"


@pytest.mark.parametrize("change", [_edited_time, _cut, _flipped, _nothing, _page])
def test_what_was_changed_on_the_way_is_not_taken(
    change: Callable[[bytes], bytes], authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    with pytest.raises(NotAnchored):
        accepted(change(answer), asked, authority)


def test_whatever_byte_is_changed_it_is_refused_or_says_the_same(
    authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    true = accepted(answer, asked, authority)
    refused = 0
    for at in range(0, len(answer), 5):
        other = answer[:at] + bytes([answer[at] ^ 1 << at % 8]) + answer[at + 1 :]
        try:
            # What is not signed may change, as the certificate of the root that comes along.
            assert accepted(other, asked, authority) == true
        except NotAnchored:
            refused += 1
    assert refused > len(answer) // 15


def test_a_certificate_of_a_version_that_does_not_exist_is_refused_in_words(
    authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    version_3, version_67 = bytes.fromhex("a003020102"), bytes.fromhex("a003020142")
    before, *others = answer.split(version_3)
    assert len(others) == 2  # The authority's and its root's.
    words = []
    for at in range(2):
        versions = [version_3, version_3]
        versions[at] = version_67
        changed = before + b"".join(v + rest for v, rest in zip(versions, others, strict=True))
        with pytest.raises(NotAnchored) as refused:
            accepted(changed, asked, authority)
        words.append(str(refused.value))
    assert any("not a valid X509 version" in each for each in words)


def test_an_answer_to_another_question_over_the_same_data_is_not_taken(
    authority: Authority, answer: bytes
) -> None:
    with pytest.raises(NotAnchored, match="Nonce"):
        accepted(answer, new_request(DATA), authority)


def test_a_stamp_over_other_data_is_not_taken(
    authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    with pytest.raises(NotAnchored, match="messages"):
        accepted(answer, asked, authority, data=DATA + b"more")


def test_a_stamp_of_an_authority_that_is_not_trusted_is_not_taken(
    asked: TimeStampRequest, answer: bytes, tmp_path: Path
) -> None:
    with pytest.raises(NotAnchored, match="certificate"):
        accepted(answer, asked, Authority.made_in(tmp_path))


@pytest.mark.parametrize("ahead", [MINUTES, -MINUTES])
def test_an_authority_whose_clock_is_wrong_is_not_believed(
    ahead: timedelta, authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    with pytest.raises(NotAnchored, match="differs from our clock"):
        accepted(answer, asked, authority, now=datetime.now(UTC) + ahead)


def test_a_refusal_is_told_in_the_authority_s_words(
    authority: Authority, asked: TimeStampRequest
) -> None:
    query = asked.as_bytes()
    at = query.index(bytes.fromhex("608648016503040201"))
    other_hash = query[:at] + bytes.fromhex("608648016503040203") + query[at + 9 :]
    with pytest.raises(NotAnchored, match="The authority answers: rejection"):
        accepted(authority.answer(other_hash), asked, authority)


def test_another_certificate_of_the_same_key_in_place_of_the_signer_s_is_not_taken(
    authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    changed = with_twin(answer, authority)
    with pytest.raises(NotAnchored, match="names another certificate"):
        accepted(changed, asked, authority)
    assert not openssl_accepts(DATA, changed, authority.certificate)


def test_a_stamp_without_the_certificate_of_its_signer_is_not_taken(
    authority: Authority, asked: TimeStampRequest, answer: bytes
) -> None:
    own = load_pem_x509_certificate((authority.folder / "tsa.pem").read_bytes())
    der = own.public_bytes(Encoding.DER)
    renumbered = der.replace(
        own.serial_number.to_bytes(20, "big"), (own.serial_number ^ 1).to_bytes(20, "big")
    )
    assert renumbered != der
    with pytest.raises(ValueError, match="0 certificates of its signer"):
        refuse_another_signer(answer.replace(der, renumbered))


def test_a_text_without_certificates_is_refused() -> None:
    with pytest.raises(ValueError, match="BEGIN CERTIFICATE"):
        read_certificates("no certificate")
