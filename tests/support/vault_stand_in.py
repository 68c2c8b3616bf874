"""A stand-in for HashiCorp Vault, for machines that have none: what we use of its HTTP API.

Not Vault: it answers as Vault does to hvac, by what was seen of a server of that API, with real
ciphers and no access rules but one token. VAULT_ADDR and VAULT_TOKEN name a real server to test
against instead; both must pass the same tests.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN: Final = "a-token-of-the-stand-in"
Answer = tuple[int, dict[str, Any]]
_NONCE_BYTES: Final = 12


class Refused(Exception):
    """What Vault says of a bad question, with its status."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status, errors)
        self.status = status
        self.errors = list(errors)


@dataclass(slots=True)
class TransitKey:
    """A key of the transit engine; versions count from 1."""

    kind: str
    versions: list[bytes]
    deletable: bool = False

    def cipher(self, version: int, context: bytes) -> AESGCM:
        secret = self.versions[version - 1]
        return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=context).derive(secret))

    def encrypt(self, plain: bytes, context: bytes) -> str:
        version, nonce = len(self.versions), os.urandom(_NONCE_BYTES)
        sealed = nonce + self.cipher(version, context).encrypt(nonce, plain, None)
        return f"vault:v{version}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, text: str, context: bytes) -> bytes:
        try:
            version = int(text.split(":")[1].removeprefix("v"))
            sealed = base64.b64decode(text.split(":")[2], validate=True)
            return self.cipher(version, context).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None
            )
        except (ValueError, IndexError) as error:
            raise Refused(400, "invalid ciphertext: unable to decode") from error
        except InvalidTag as error:
            raise Refused(400, "cipher: message authentication failed") from error

    def told(self, name: str) -> dict[str, Any]:
        keys: dict[str, Any] = {str(n + 1): 0 for n in range(len(self.versions))}
        if self.kind == "ed25519":
            keys = {"1": {"public_key": _text(self.signer.public_key().public_bytes_raw())}}
        return {"name": name, "type": self.kind, "keys": keys, "deletion_allowed": self.deletable}

    @property
    def signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.versions[-1])


@dataclass(slots=True)
class Vault:
    """What the stand-in holds: keys of `transit`, secrets of `secret` (KV, version 2)."""

    keys: dict[str, TransitKey] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """Answer a question of somebody with the token. Raises Refused."""
        with self.lock:
            match [method, *path.split("/")]:
                case ["GET", "auth", "token", "lookup-self"]:
                    return 200, {"data": {"ttl": 0}}
                case [_, "transit", verb, *rest]:
                    return self._transit(method, verb, rest, body)
                case [_, "secret", "data", *rest]:
                    return self._secret(method, "/".join(rest), body)
                case ["DELETE", "secret", "metadata", *rest]:
                    self.secrets.pop("/".join(rest), None)
                    return 204, {}
            raise Refused(404, f'no handler for route "{path}". route entry not found.')

    def _transit(self, method: str, verb: str, rest: list[str], body: dict[str, Any]) -> Answer:
        name = rest[-1]
        match [method, verb, *rest]:
            case ["POST", "keys", name]:
                kind = body["type"]
                key = self.keys.setdefault(name, TransitKey(kind, [os.urandom(32)]))
                return 200, {"data": key.told(name)}
            case ["GET", "keys", name]:
                if name not in self.keys:
                    raise Refused(404)
                return 200, {"data": self.keys[name].told(name)}
            case ["DELETE", "keys", name]:
                key = self._key(name, f"error deleting policy {name}: not found")
                if not key.deletable:
                    raise Refused(400, f"error deleting policy {name}: deletion is not allowed")
                del self.keys[name]
                return 204, {}
            case ["POST", "keys", name, "config"]:
                key = self._key(name, f"no existing key named {name} could be found")
                key.deletable = body["deletion_allowed"]
                return 200, {"data": key.told(name)}
            case ["POST", "keys", name, "rotate"]:
                key = self._key(name, "key not found")
                key.versions.append(os.urandom(32))
                return 200, {"data": key.told(name)}
            case ["POST", "sign", name] | ["POST", "sign", name, _]:
                key = self._key(name, "signing key not found")
                signature = key.signer.sign(_bytes(body["input"]))
                return 200, {"data": {"signature": f"vault:v1:{_text(signature)}"}}
        key = self._key(name, "encryption key not found")
        return 200, {"data": self._wrapping(verb, key, body)}

    def _wrapping(self, verb: str, key: TransitKey, body: dict[str, Any]) -> dict[str, Any]:
        context = _bytes(body["context"])
        match verb:
            case "datakey":
                plain = os.urandom(32)
                return {"plaintext": _text(plain), "ciphertext": key.encrypt(plain, context)}
            case "encrypt":
                return {"ciphertext": key.encrypt(_bytes(body["plaintext"]), context)}
            case "decrypt":
                return {"plaintext": _text(key.decrypt(body["ciphertext"], context))}
            case "rewrap":
                plain = key.decrypt(body["ciphertext"], context)
                return {"ciphertext": key.encrypt(plain, context)}
        raise Refused(404, "unsupported path")

    def _secret(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "GET":
            if path not in self.secrets:
                raise Refused(404)
            return 200, {"data": {"data": self.secrets[path], "metadata": {"version": 1}}}
        if path in self.secrets and body["options"]["cas"] == 0:
            raise Refused(400, "check-and-set parameter did not match the current version")
        self.secrets[path] = body["data"]
        return 200, {"data": {"version": 1}}

    def _key(self, name: str, absent: str) -> TransitKey:
        if name not in self.keys:
            raise Refused(400, absent)
        return self.keys[name]


def _handler(vault: Vault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            try:
                if self.headers.get("X-Vault-Token") != TOKEN:
                    raise Refused(403, "permission denied")
                method = "POST" if self.command == "PUT" else self.command
                status, told = vault.answer(method, self.path.removeprefix("/v1/"), body)
            except Refused as refusal:
                status, told = refusal.status, {"errors": refusal.errors}
            payload = b"" if status == 204 else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    return Handler


@contextmanager
def running_stand_in() -> Iterator[str]:
    """Start a stand-in and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(Vault()))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
