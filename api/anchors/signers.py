"""Whether a time stamp names the certificate that came along with it (ESSCertID).

The certificates of an answer are not under its signature: somebody on the way can put another one
with the same issuer, number and key in place of the signer's, say one that is valid for longer. So
the authority signs the hash of its own along (RFC 3161 2.4.2, RFC 5035 5.4, RFC 2634 5.4):

    SignedData ─► [0] certificates                        SHA-256(certificate)
              └─► signerInfos ─► one ─► issuer and number      ║
                                    └─► [0] signed attributes ─► SigningCertificateV2 ─► certHash
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from api.anchors.der import Value, nth, values

_TAGGED_0: Final = 0xA0
_SET: Final = 0x31
_OCTETS: Final = 0x04
_SEQUENCE: Final = 0x30
_V1: Final = bytes.fromhex("2a864886f70d010910020c")
"""1.2.840.113549.1.9.16.2.12, signingCertificate: by SHA-1."""
_V2: Final = bytes.fromhex("2a864886f70d010910022f")
"""1.2.840.113549.1.9.16.2.47, signingCertificateV2."""
_HASHES: Final = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


def refuse_another_signer(answer: bytes) -> None:
    """Raise ValueError unless the signer's certificate is there and the one that the stamp names.

    answer: DER TimeStampResp whose signature was found to be good.
    """
    signed_data = _signed_data(answer)
    signer = _only_signer(answer, signed_data)
    certificate = _certificate_of(answer, signed_data, signer)
    named = list(_named(answer, signer))
    if not named:
        raise ValueError("it does not say by the hash of a certificate who signed it (ESSCertID)")
    for algorithm, digest in named:
        if hashlib.new(algorithm, certificate).digest() != digest:
            raise ValueError("it names another certificate than came along (ESSCertID)")


def _signed_data(answer: bytes) -> Value:
    response = nth(answer, Value(0, 0, 0, len(answer)), 0)
    return nth(answer, nth(answer, nth(answer, response, 1), 1), 0)


def _only_signer(answer: bytes, signed_data: Value) -> Value:
    sets = [one for one in values(answer, signed_data) if one.tag == _SET]
    signers = list(values(answer, sets[-1])) if sets else []
    if len(signers) != 1:
        raise ValueError(f"{len(signers)} signers; a time stamp has one")
    return signers[0]


def _certificate_of(answer: bytes, signed_data: Value, signer: Value) -> bytes:
    """Return the DER certificate with the signer's issuer and number."""
    issuer, number = list(values(answer, nth(answer, signer, 1)))[:2]
    wanted = (_der(answer, issuer), _der(answer, number))
    found = [
        _der(answer, one)
        for set_of in values(answer, signed_data)
        if set_of.tag == _TAGGED_0
        for one in values(answer, set_of)
        if _issuer_and_number(answer, one) == wanted
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} certificates of its signer came along; one is wanted")
    return found[0]


def _issuer_and_number(answer: bytes, certificate: Value) -> tuple[bytes, bytes]:
    to_be_signed = list(values(answer, nth(answer, certificate, 0)))
    at = 1 if to_be_signed and to_be_signed[0].tag == _TAGGED_0 else 0
    if len(to_be_signed) < at + 3:
        raise ValueError("a certificate has not the form of X.509")
    return _der(answer, to_be_signed[at + 2]), _der(answer, to_be_signed[at])


def _named(answer: bytes, signer: Value) -> Iterator[tuple[str, bytes]]:
    """Yield algorithm and hash of the first certificate that each attribute names."""
    attributes = next((one for one in values(answer, signer) if one.tag == _TAGGED_0), None)
    if attributes is None:
        return
    for attribute in values(answer, attributes):
        kind = nth(answer, attribute, 0)
        name = answer[kind.content : kind.end]
        if name in (_V1, _V2):
            # SET ─► SigningCertificate ─► certs ─► the first
            named = nth(answer, nth(answer, nth(answer, nth(answer, attribute, 1), 0), 0), 0)
            yield _hash_of(answer, named, usual="sha1" if name == _V1 else "sha256")


def _hash_of(answer: bytes, named: Value, *, usual: str) -> tuple[str, bytes]:
    first, *others = values(answer, named)
    algorithm = usual
    if first.tag == _SEQUENCE and usual == "sha256":
        oid = nth(answer, first, 0)
        algorithm = _HASHES.get(answer[oid.content : oid.end], "")
        first = others[0] if others else first
    if not algorithm or first.tag != _OCTETS:
        raise ValueError("it names a certificate in a way that is not known (ESSCertID)")
    return algorithm, answer[first.content : first.end]


def _der(answer: bytes, value: Value) -> bytes:
    return answer[value.begin : value.end]
