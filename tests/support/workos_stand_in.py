"""A stand-in of the parts of the WorkOS API that sign-ins and invitations need: not WorkOS.

Written after its documentation and SDK. It knows codes, answers each once, and wants the PKCE
verifier of the challenge with which the code was asked for. It keeps invitations, one pending for
an address and organisation, and sends no mail.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tests.support.oidc import SigningKey

CLIENT: Final = "client_01TEST"
API_KEY: Final = "sk_test_of_the_stand_in"
ORGANISATIONS: Final = frozenset({"org_01TEST"})
INVITATIONS: Final = "/user_management/invitations"


@dataclass(slots=True)
class WorkosStandIn:
    """url: where it listens. codes: what is answered to each, with the challenge it is bound to.

    invitations: by their ids. sent: the ids, as often as they were sent. away: it answers nothing
    about invitations.
    """

    url: str = ""
    key: SigningKey = field(default_factory=SigningKey)
    codes: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    invitations: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    away: bool = False

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

    def invite(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer the request that makes an invitation."""
        email, organisation = body["email"], body["organization_id"]
        if organisation not in ORGANISATIONS:
            return 404, {"message": "Organization not found.", "code": "entity_not_found"}
        if self.pending(email, organisation):
            return 400, {"message": "Already invited.", "code": "user_already_invited"}
        made = _invitation(email, organisation, body["role_slug"], days=body["expires_in_days"])
        self.invitations[made["id"]] = made
        self.sent.append(made["id"])
        return 201, made

    def pending(self, email: str, organisation: str) -> list[dict[str, Any]]:
        """Return the invitations of an address that can be accepted."""
        return [
            each
            for each in self.invitations.values()
            if (each["email"], each["organization_id"], each["state"])
            == (email, organisation, "pending")
        ]

    def change(self, invitation_id: str, what: str) -> tuple[int, dict[str, Any]]:
        """Answer the request that sends an invitation again, or takes it back."""
        found = self.invitations.get(invitation_id)
        if found is None:
            return 404, {"message": "Invitation not found.", "code": "entity_not_found"}
        if found["state"] != "pending":
            return 400, {"message": f"It is {found['state']}.", "code": "invite_not_pending"}
        if what == "revoke":
            found["state"] = "revoked"
        else:
            self.sent.append(invitation_id)
        return 200, found

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


def _invitation(email: str, organisation: str, role: str, *, days: int) -> dict[str, Any]:
    moment = datetime.now(UTC).replace(microsecond=0)
    return {
        "object": "invitation",
        "id": f"invitation_{uuid4().hex}",
        "email": email,
        "state": "pending",
        "accepted_at": None,
        "revoked_at": None,
        "expires_at": (moment + timedelta(days=days)).isoformat(),
        "organization_id": organisation,
        "inviter_user_id": None,
        "accepted_user_id": None,
        "role_slug": role,
        "created_at": moment.isoformat(),
        "updated_at": moment.isoformat(),
        "token": "unused",
        "accept_invitation_url": "https://workos.example/accept",
    }


def _handler(stand_in: WorkosStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == f"/sso/jwks/{CLIENT}":
                self._say(200, {"keys": [stand_in.key.public_jwk]})
            elif path == INVITATIONS:
                asked = {name: values[0] for name, values in parse_qs(query).items()}
                found = stand_in.pending(asked["email"], asked["organization_id"])
                nothing = {"before": None, "after": None}
                self._say(200, {"object": "list", "data": found, "list_metadata": nothing})
            elif path.startswith(f"{INVITATIONS}/"):
                self._say(200, stand_in.invitations[path.rpartition("/")[2]])
            else:
                self._say(404, {"message": "Not Found"})

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            if self.path.startswith(INVITATIONS):
                self._say(*self._about_invitations(body))
            elif self.path == "/user_management/authenticate":
                self._say(*stand_in.exchange(body))
            else:
                self._say(404, {"message": "Not Found"})

        def _about_invitations(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
            if stand_in.away:
                return 503, {"message": "Service Unavailable"}
            if self.headers["authorization"] != f"Bearer {API_KEY}":
                return 401, {"message": "Unauthorized"}
            if self.path == INVITATIONS:
                return stand_in.invite(body)
            invitation_id, what = self.path.removeprefix(f"{INVITATIONS}/").split("/")
            return stand_in.change(invitation_id, what)

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
