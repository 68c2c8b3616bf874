"""A running OpenID provider (npm oidc-provider), its keys, and somebody's browser at it."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import jwt
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from tests.support.kafka import free_port

FOLDER: Final = Path(__file__).parent / "oidc_provider"
SITE: Final = "http://localhost:8080"
CALLBACK: Final = f"{SITE}/sign-in/provider/callback"
CLI: Final = "http://localhost:9/cli"
AUDIENCE: Final = "https://betrace.example/api"
SECRET: Final = "a secret that the client has with the provider"
_PATIENCE_S: Final = 60
_VERIFIER: Final = "v" * 43


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of a provider, with its id."""

    key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def jwk(self) -> dict[str, Any]:
        """The private key as JWK. It signs, and the provider also verifies its own tokens by it."""
        described: dict[str, Any] = RSAAlgorithm.to_jwk(self.key, as_dict=True)
        del described["key_ops"]
        return {**described, "kid": self.id, "alg": "RS256", "use": "sig"}

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public key as JWK."""
        described: dict[str, Any] = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**described, "kid": self.id, "alg": "RS256", "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        """The public key as text, which anybody can have."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return a token with the claims. header: more of it, None takes one away."""
        headers = {"kid": self.id, "typ": "JWT", **header}
        return jwt.encode(
            dict(claims),
            self.key,
            algorithm="RS256",
            headers={name: value for name, value in headers.items() if value is not None},
        )


@dataclass(slots=True)
class OidcServer:
    """The provider and what it signs with now."""

    issuer: str
    key: SigningKey
    people: Mapping[str, Mapping[str, Any]]

    async def rotate(self) -> SigningKey:
        """Let the provider sign with a new key and list the old one no more; return the new."""
        self.key = SigningKey()
        await self._control("keys", {"keys": [self.key.jwk]})
        return self.key

    async def forge(self, id_token: str) -> None:
        """Let the provider answer the next code with this ID token."""
        await self._control("forge", {"id_token": id_token})

    async def say(self, person: str, **claims: Any) -> None:
        """Let the provider say more of a person, or something else, from now on."""
        await self._control("person", {person: claims})

    async def program_token(self, client: str) -> str:
        """Return an access token of a program for the API."""
        return await self._token(
            client, {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "api"}
        )

    async def person_token(self, person: str) -> str:
        """Return an access token for the API that a command line got for a person."""
        parameters = {
            "client_id": "cli",
            "response_type": "code",
            "redirect_uri": CLI,
            "scope": "openid api",
            "resource": AUDIENCE,
            "state": "s",
            "code_challenge": create_s256_code_challenge(_VERIFIER),
            "code_challenge_method": "S256",
        }
        url = httpx.URL(f"{self.issuer}/auth", params=parameters)
        query = await answer_of(str(url), person=person, back=CLI)
        return await self._token(
            "cli",
            {
                "grant_type": "authorization_code",
                "code": query["code"],
                "redirect_uri": CLI,
                "code_verifier": _VERIFIER,
                "resource": AUDIENCE,
            },
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of an access token of the program `ci`. None takes one away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "ci",
            "client_id": "ci",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def id_claims(self, person: str, **changes: Any) -> dict[str, Any]:
        """Return the claims of an ID token of a person."""
        return self.claims(
            **{"sub": person, "client_id": None, "aud": "betrace", **self.people[person], **changes}
        )

    async def _token(self, client: str, form: Mapping[str, str]) -> str:
        async with httpx.AsyncClient() as http:
            response = await http.post(f"{self.issuer}/token", data=form, auth=(client, SECRET))
        assert response.status_code == 200, response.text
        token: str = response.json()["access_token"]
        return token

    async def _control(self, what: str, body: Mapping[str, Any]) -> None:
        async with httpx.AsyncClient() as http:
            done = await http.post(f"{self.issuer}/control/{what}", json=body)
        assert done.status_code == 204, done.text


async def answer_of(url: str, *, person: str, back: str = CALLBACK) -> dict[str, str]:
    """Sign in at the provider as a person; return the query with which it sends the browser back.

    url: where the browser was sent.
    """
    at = f"{url}&login_hint={person}"
    async with httpx.AsyncClient() as browser:
        for _ in range(10):
            if at.startswith(back):
                return {name: values[0] for name, values in parse_qs(urlsplit(at).query).items()}
            response = await browser.get(at)
            assert response.status_code in (302, 303), response.text
            at = str(response.url.join(response.headers["location"]))
    raise AssertionError(f"the provider leads in a circle: {at}")


def unsigned(provider: OidcServer, claims: dict[str, Any]) -> str:
    """Return a token that names the provider's key and is signed by nobody."""
    return jwt.encode(claims, None, algorithm="none", headers={"kid": provider.key.id})


def with_public_key(provider: OidcServer, claims: dict[str, Any]) -> str:
    """Sign with HMAC under what everybody may know. pyjwt refuses to, so by hand."""
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    unsigned = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": provider.key.id})
    body = unsigned.rpartition(".")[0]
    signature = hmac.sign(body.encode(), provider.key.public_pem)
    return f"{body}.{jwt.utils.base64url_encode(signature).decode()}"


@contextmanager
def running_provider(
    people: Mapping[str, Mapping[str, Any]],
    *,
    token_claims: Mapping[str, Mapping[str, Any]],
    site: str = SITE,
    host: str = "127.0.0.1",
) -> Iterator[OidcServer]:
    """Run a provider that knows people by name, with their claims.

    token_claims: more claims of access tokens, by person or program. site: where people come back
    to. host: as it calls itself; another name than the site's makes it another site to a browser.
    """
    port = free_port()
    server = OidcServer(f"http://{host}:{port}", SigningKey(), people)
    config = {
        "issuer": server.issuer,
        "port": port,
        "jwks": {"keys": [server.key.jwk]},
        "audience": AUDIENCE,
        "people": people,
        "token_claims": token_claims,
        "clients": [
            _client(
                "betrace",
                f"{site}/sign-in/provider/callback",
                post_logout_redirect_uris=[f"{site}/sign-in"],
            ),
            _client("cli", CLI),
            *(
                _client(name, grant_types=["client_credentials"], response_types=[])
                for name in ("ci", "stranger")
            ),
        ],
    }
    process = subprocess.Popen(
        ["node", "provider.js"],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(config))
        process.stdin.close()
        _wait_until_listening(process)
        yield server
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


def _client(name: str, *redirects: str, **more: Any) -> dict[str, Any]:
    return {
        "client_id": name,
        "client_secret": SECRET,
        "redirect_uris": list(redirects),
        "grant_types": ["authorization_code"],
        **more,
    }


def _wait_until_listening(process: subprocess.Popen[str]) -> None:
    """A thread reads what the provider prints, to its end, so that it never waits for a reader."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    said = []
    while (line := lines.get(timeout=_PATIENCE_S)) != "listening\n":
        said.append(line)
        if not line:
            raise RuntimeError(
                f"the provider did not start; `python3 deploy/prepare.py provider`? {''.join(said)}"
            )
