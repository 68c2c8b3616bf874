"""Time stamps of RFC 3161: what is asked, and what an answer must be before it is kept.

`rfc3161_client` writes and reads DER and lets OpenSSL check signature and chain. Checked here as
well: that an auditor's verifier reads the same out of the answer, that it names the certificate
that came along (`signers`), and that its time can be true.

    TimeStampResp ─► token ─► [0] ─► SignedData ─► [0] certificates, a SET OF

The library wants that set sorted, as DER says; OpenSSL's authorities, and who builds on them, write
it as it comes. It is not under the signature, so what is checked is a copy with the set sorted, and
what is kept the answer as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.verify import SHA256_OID

from api.anchors.der import Value, nth, values
from api.anchors.model import NotAnchored
from api.anchors.signers import refuse_another_signer
from udfs.evidence.verify import stamped

REQUEST_TYPE: Final = "application/timestamp-query"
MOST_BYTES: Final = 64 * 1024
SKEW: Final = timedelta(minutes=5)
"""By how much the authority's clock and ours may differ; the verifiers have it as well."""
_MOST_CERTIFICATES: Final = 20
_CERTIFICATES: Final = 0xA0


def read_certificates(pem: str) -> Sequence[x509.Certificate]:
    """Return the certificates of a PEM text. Raises ValueError for a text that holds none."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise ValueError(
            "there is no certificate in the text; paste the authority's root as PEM, from "
            "-----BEGIN CERTIFICATE----- on"
        ) from error
    if len(found) > _MOST_CERTIFICATES:
        raise ValueError(f"{len(found)} certificates; {_MOST_CERTIFICATES} are the most")
    return found


def new_request(data: bytes) -> TimeStampRequest:
    """Ask for a stamp over the SHA-256 of some bytes, with a fresh nonce and the certificates."""
    return (
        TimestampRequestBuilder()
        .data(data)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )


def accept(
    answer: bytes,
    *,
    asked: TimeStampRequest,
    data: bytes,
    trusted: Sequence[x509.Certificate],
    now: datetime,
) -> datetime:
    """Return when the authority says that it saw the data.

    answer: DER TimeStampResp. trusted: the roots. now: by our clock. Raises NotAnchored unless the
    answer is granted, over this data, to this request (its nonce), signed by a certificate for time
    stamping below a trusted root, which is the one that the stamp names, and of now.
    """
    response = _decoded(answer)
    _refuse_rejection(response)
    verifier = VerifierBuilder.from_request(asked)
    for certificate in trusted:
        verifier = verifier.add_root_certificate(certificate)
    try:
        verifier.build().verify(response, sha256(data).digest())
        algorithm = response.tst_info.message_imprint.hash_algorithm
        stamped_at = response.tst_info.gen_time
        read_by_auditors = stamped(answer)
        refuse_another_signer(answer)
    except (VerificationError, x509.InvalidVersion, ValueError, IndexError) as error:
        raise NotAnchored(f"The time stamp is not accepted: {_words(error)}.") from error
    if algorithm.dotted_string != SHA256_OID:
        raise NotAnchored("The time stamp is over another hash than SHA-256, which was asked for.")
    if read_by_auditors != (sha256(data).digest(), int(stamped_at.timestamp()) * 1000):
        raise NotAnchored("The time stamp says one thing here and another to the verifier.")
    if abs(stamped_at - now) > SKEW:
        raise NotAnchored(
            f"The authority says that it is {stamped_at:%Y-%m-%d %H:%M:%S} UTC, which differs from "
            f"our clock by more than {SKEW.seconds // 60} minutes."
        )
    return stamped_at


def _decoded(answer: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(_with_sorted_certificates(answer))
    except ValueError as error:
        raise NotAnchored("The answer is no time stamp of RFC 3161.") from error


def _with_sorted_certificates(answer: bytes) -> bytes:
    """Return an answer of the same length with its certificates sorted; a rejection as it is.

    Raises ValueError for what is no DER.
    """
    whole = Value(0, 0, 0, len(answer))
    response = nth(answer, whole, 0)
    if len(list(values(answer, response))) < 2:
        return answer
    token = nth(answer, response, 1)
    signed_data = nth(answer, nth(answer, token, 1), 0)
    for value in values(answer, signed_data):
        if value.tag == _CERTIFICATES:
            each = sorted(answer[one.begin : one.end] for one in values(answer, value))
            return answer[: value.content] + b"".join(each) + answer[value.end :]
    return answer


def _refuse_rejection(response: TimeStampResponse) -> None:
    if response.status == PKIStatus.GRANTED:
        return
    said = "; ".join(response.status_string)[:200]
    try:
        name = PKIStatus(response.status).name.lower().replace("_", " ")
    except ValueError:
        name = f"status {response.status}"
    raise NotAnchored(f"The authority answers: {name}{f' ({said})' if said else ''}.")


def _words(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words[:200].rstrip(".")
