"""A time-stamping authority of RFC 3161: OpenSSL's own, with a certificate made for the test.

`served` lets it answer over HTTP, as RFC 3161 3.4 says.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

_CONFIGURATION = """
[ req ]
distinguished_name = name
[ name ]
[ extensions ]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ root ]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[ tsa ]
default_tsa = authority
[ authority ]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = ca.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Authority:
    """An authority whose files lie in a folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The root that a verifier trusts."""
        return self.folder / "ca.pem"

    @classmethod
    def made_in(
        cls,
        folder: Path,
        *,
        good_for: timedelta | None = None,
        key: Sequence[str] = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        digest: str = "sha256",
    ) -> Authority:
        """Make a root, and a certificate for time stamps under it.

        good_for: how long that is valid from now on, None: for years. key: of both, as
        `openssl req -newkey` takes it; digest: that stamps are signed by.
        """
        authority = cls(folder)
        (folder / "authority.cnf").write_text(
            _CONFIGURATION.replace("signer_digest = sha256", f"signer_digest = {digest}")
        )
        (folder / "serial").write_text("01\n")
        new_key = ("-newkey", *key, "-nodes")
        configured = ("-config", "authority.cnf", "-extensions")
        root = ("req", "-x509", *new_key, *configured, "root", "-subj", "/CN=root", "-days", "3650")
        authority._openssl(*root, "-keyout", "ca.key", "-out", "ca.pem")
        wanted = ("req", *new_key, "-config", "authority.cnf", "-subj", "/CN=time stamps")
        authority._openssl(*wanted, "-keyout", "tsa.key", "-out", "tsa.csr")
        signed = ("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key")
        extended = ("-extfile", "authority.cnf", "-extensions", "extensions", "-days", "3650")
        authority._openssl(*signed, "-CAcreateserial", *extended, "-out", "tsa.pem")
        if good_for is not None:
            authority._shorten(datetime.now(UTC) + good_for)
        return authority

    def twin(self, until: datetime) -> bytes:
        """Return another certificate, DER, of the same issuer, number and key; with an end."""
        made = x509.load_pem_x509_certificate((self.folder / "tsa.pem").read_bytes())
        return self._signed_anew(made, until, made.serial_number).public_bytes(Encoding.DER)

    def _shorten(self, until: datetime) -> None:
        """Sign the certificate for time stamps anew, with an end."""
        made = x509.load_pem_x509_certificate((self.folder / "tsa.pem").read_bytes())
        short = self._signed_anew(made, until, x509.random_serial_number())
        (self.folder / "tsa.pem").write_bytes(short.public_bytes(Encoding.PEM))

    def _signed_anew(
        self, made: x509.Certificate, until: datetime, number: int
    ) -> x509.Certificate:
        key = load_pem_private_key((self.folder / "ca.key").read_bytes(), password=None)
        assert isinstance(key, EllipticCurvePrivateKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(made.subject)
            .issuer_name(made.issuer)
            .public_key(made.public_key())
            .serial_number(number)
            .not_valid_before(made.not_valid_before_utc)
            .not_valid_after(until)
        )
        for extension in made.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return builder.sign(key, SHA256())

    def stamp(self, data: bytes) -> bytes:
        """Return the DER TimeStampResp over some bytes."""
        (self.folder / "data").write_bytes(data)
        self._openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query")
        return self.answer((self.folder / "query").read_bytes())

    def answer(self, query: bytes) -> bytes:
        """Return the DER TimeStampResp to a DER TimeStampReq, a refusal if it is none."""
        (self.folder / "query").write_bytes(query)
        answer = ("ts", "-reply", "-queryfile", "query", "-config", "authority.cnf")
        self._openssl(*answer, "-section", "authority", "-out", "answer")
        return (self.folder / "answer").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        command = ["openssl", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)


def with_twin(answer: bytes, authority: Authority) -> bytes:
    """Return an answer with another certificate of the same issuer, number and key in place of the
    signer's. The signature, which does not cover certificates, stays good."""
    own = x509.load_pem_x509_certificate((authority.folder / "tsa.pem").read_bytes())
    der = own.public_bytes(Encoding.DER)
    for days in range(1, 200):
        twin = authority.twin(own.not_valid_after_utc + timedelta(days=days))
        # Signatures of elliptic curves differ in length: one of the same, so that no length moves.
        if len(twin) == len(der):
            return answer.replace(der, twin)
    raise AssertionError("no twin of the same length")


@dataclass
class Served:
    """An authority that answers at a URL. reply: in place of its own answer to a query.

    down: it answers 503. asked: the queries, oldest first.
    """

    authority: Authority
    url: str = ""
    down: bool = False
    reply: Callable[[bytes], bytes] | None = None
    asked: list[bytes] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, query: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a query."""
        with self._turn:
            self.asked.append(query)
            if self.down:
                return 503, b"no time today"
            return 200, (self.reply or self.authority.answer)(query)


@contextmanager
def served(authority: Authority) -> Iterator[Served]:
    """Let an authority answer at a URL until the block ends."""
    serving = Served(authority)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            status, body = serving.handle(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.url = f"http://127.0.0.1:{server.server_address[1]}/tsr"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield serving
    finally:
        server.shutdown()
        server.server_close()
