"""A stand-in of the parts of the WorkOS API that AuthKit's sign-in needs: not WorkOS.

Written after its documentation and SDK. It knows codes, answers each once, and wants the PKCE
verifier of the challenge with which the code was asked for.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tests.support.oidc import SigningKey

CLIENT: Final = "client_01TEST"
API_KEY: Final = "sk_test_of_the_stand_in"


@dataclass(slots=True)
class WorkosStandIn:
    """url: where it listens. codes: what is answered to each, with the challenge it is bound to."""

    url: str = ""
    key: SigningKey = field(default_factory=SigningKey)
    codes: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """The issuer of its session tokens."""
        return f"{self.url}/user_management/{CLIENT}"

    def sign_in(
        self,
        authorization_url: str,
        email: str,
        *,
        impersonator: str = "",
        user_id: str = "",
        **changes: Any,
    ) -> dict[str, str]:
        """Sign somebody in where a browser was sent; return the query it comes back with.

        changes: of the session token's claims, None takes one away.
        """
        query = parse_qs(urlsplit(authorization_url).query)
        assert query["client_id"] == [CLIENT]
        assert query["provider"] == ["authkit"]
        assert query["code_challenge_method"] == ["S256"]
        user_id = user_id or f"user_{uuid4().hex}"
        code = uuid4().hex
        self.codes[code] = (
            query["code_challenge"][0],
            self._answer(email, user_id, impersonator, changes),
        )
        return {"code": code, "state": query["state"][0]}

    def exchange(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer the request that exchanges a code."""
        if body.get("client_secret") != API_KEY or body.get("client_id") != CLIENT:
            return 401, {"message": "Unauthorized"}
        challenge, answer = self.codes.pop(str(body.get("code")), ("", {}))
        verifier = str(body.get("code_verifier"))
        if not answer or create_s256_code_challenge(verifier) != challenge:
            return 400, {"error": "invalid_grant", "error_description": "The code is invalid."}
        return 200, answer

    def _answer(
        self, email: str, user_id: str, impersonator: str, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": user_id,
            "sid": f"session_{uuid4().hex}",
            "jti": uuid4().hex,
            "org_id": "org_01TEST",
            "role": "member",
            "permissions": [],
            "iat": now,
            "exp": now + 300,
            **({"act": {"sub": impersonator}} if impersonator else {}),
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        moment = "2026-11-01T00:00:00.000Z"
        user = {
            "object": "user",
            "id": user_id,
            "first_name": "Ada",
            "last_name": "Lovelace",
            "profile_picture_url": None,
            "email": email,
            "email_verified": True,
            "external_id": None,
            "last_sign_in_at": moment,
            "created_at": moment,
            "updated_at": moment,
        }
        answer: dict[str, Any] = {
            "user": user,
            "organization_id": claims.get("org_id"),
            "access_token": self.key.sign(claims),
            "refresh_token": "unused",
            "authentication_method": "Password",
        }
        if impersonator:
            answer["impersonator"] = {"email": impersonator, "reason": "helps with a ticket"}
        return answer


@contextmanager
def running_stand_in() -> Iterator[WorkosStandIn]:
    """Serve a stand-in on a free port."""
    stand_in = WorkosStandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="workos stand-in")
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(stand_in: WorkosStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/sso/jwks/{CLIENT}":
                self._say(200, {"keys": [stand_in.key.public_jwk]})
            else:
                self._say(404, {"message": "Not Found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/user_management/authenticate":
                self._say(*stand_in.exchange(body))
            else:
                self._say(404, {"message": "Not Found"})

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - of the base class
            """Keep quiet."""

        def _say(self, status: int, answer: Mapping[str, Any]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
