"""Invitations: made, mailed or handed over, accepted once, sent again, cancelled, expired."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from api.invitations.model import InvitationMaker
from api.settings import Settings
from tests.integration.api.conftest import Caller, client_of
from tests.support.mailbox import Mailbox, running_mailbox
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_key, make_tenant, make_user

NEW = "seven green umbrellas at dusk"
GONE = (410, "invitation.over")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A running mail server."""
    with running_mailbox() as box:
        yield box


@pytest.fixture
async def by_mail(settings: Settings, mailbox: Mailbox, pool: Pool) -> AsyncIterator[Caller]:
    """An administrator's key of a new tenant, where a mail server is set."""
    from api.main import create_app

    with_mail = settings.model_copy(
        update={
            "smtp_host": "127.0.0.1",
            "smtp_port": mailbox.port,
            "smtp_security": "none",
            "mail_from": "BeTrace <betrace@example.com>",
            "public_url": "https://betrace.example.com/",
        }
    )
    application = create_app(with_mail)
    scope = await make_tenant(pool)
    async with (
        application.router.lifespan_context(application),
        client_of(application, key=await make_key(pool, scope)) as client,
    ):
        yield Caller(scope, client)


def somebody() -> str:
    return f"{uuid4().hex}@example.com"


async def invite(caller: Caller, email: str, **more: Any) -> dict[str, Any]:
    body = {"email": email, "role": "developer", **more}
    made = await caller.client.post("/api/v1/invitations", json=body)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def token_of(link: str | None) -> str:
    assert link is not None
    return link.rpartition("/invitations/")[2]


async def accept(client: httpx.AsyncClient, link: str | None, **body: str) -> httpx.Response:
    account = {"name": "Ada", "password": NEW}
    return await client.post(
        "/api/v1/invitations/accept", json={"token": token_of(link), **account, **body}
    )


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def states(caller: Caller) -> dict[str, str]:
    found = await caller.client.get("/api/v1/invitations?ended=true")
    return {item["email"]: item["state"] for item in found.json()["items"]}


async def sign_in(client: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    answer = await client.post("/api/v1/session", json={"email": email, "password": password})
    client.headers["X-CSRF-Token"] = answer.json().get("csrf_token", "")
    return answer


async def test_without_a_mail_server_the_link_is_shown_once_and_makes_an_account(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    email = somebody()
    made = await invite(caller, email.upper())
    assert (made["email"], made["state"], made["mailed_at"]) == (email, "pending", None)
    assert made["link"].startswith("http://betrace.test/invitations/")
    listed = (await caller.client.get("/api/v1/invitations")).text
    assert token_of(made["link"]) not in listed
    accepted = await accept(anonymous, made["link"])
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["tenant_id"] == str(caller.scope.tenant_id)
    identity = (await sign_in(anonymous, email, NEW)).json()
    assert (identity["tenant_id"], identity["role"]) == (
        str(caller.scope.tenant_id),
        "developer",
    )
    assert await states(caller) == {email: "accepted"}


async def test_what_was_done_is_on_the_audit_log_without_an_address(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    email = somebody()
    made = await invite(caller, email)
    again = await caller.client.post(f"/api/v1/invitations/{made['id']}/resend")
    await accept(anonymous, again.json()["link"])
    other = await invite(caller, somebody())
    await caller.client.post(f"/api/v1/invitations/{other['id']}/cancel")
    log = (await caller.client.get("/api/v1/audit")).json()["items"]
    done = {(row["action"], row["target"]) for row in log}
    assert done >= {
        ("invitation.created", f"invitation:{made['id']}"),
        ("invitation.renewed", f"invitation:{made['id']}"),
        ("invitation.accepted", f"invitation:{made['id']}"),
        ("invitation.cancelled", f"invitation:{other['id']}"),
    }
    rows = [{**row, "actor_name": ""} for row in log]
    assert email not in str(rows)
    (accepted,) = [row for row in log if row["action"] == "invitation.accepted"]
    assert accepted["actor"].startswith("user:")


async def test_a_link_opens_once_even_for_two_at_the_same_time(
    caller: Caller, app: FastAPI
) -> None:
    link = (await invite(caller, somebody()))["link"]
    async with client_of(app) as one, client_of(app) as other:
        answers = await asyncio.gather(accept(one, link), accept(other, link))
    assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 410])
    async with client_of(app) as late:
        assert refusal(await accept(late, link)) == GONE
        assert (await late.get(f"/invitations/{token_of(link)}")).status_code == 410


async def test_a_weak_password_leaves_the_link_as_it_is(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    link = (await invite(caller, somebody()))["link"]
    assert refusal(await accept(anonymous, link, password="short")) == (400, "user.weak_password")
    assert refusal(await accept(anonymous, link, name=" ")) == (400, "user.name")
    assert (await accept(anonymous, link)).status_code == 200


async def test_sending_again_makes_the_link_before_worthless(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    first = await invite(caller, somebody())
    second = await caller.client.post(f"/api/v1/invitations/{first['id']}/resend")
    assert refusal(await accept(anonymous, first["link"])) == GONE
    assert (await accept(anonymous, second.json()["link"])).status_code == 200
    over = await caller.client.post(f"/api/v1/invitations/{first['id']}/resend")
    assert refusal(over) == (409, "invitation.over")


async def test_a_cancelled_invitation_opens_nothing(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    made = await invite(caller, somebody())
    cancel = f"/api/v1/invitations/{made['id']}/cancel"
    assert (await caller.client.post(cancel)).json()["state"] == "cancelled"
    assert (await caller.client.post(cancel)).status_code == 200
    assert refusal(await accept(anonymous, made["link"])) == GONE


async def test_an_expired_invitation_opens_nothing_until_it_is_sent_again(
    caller: Caller, anonymous: httpx.AsyncClient, shared_database: Database
) -> None:
    made = await invite(caller, somebody())
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "update invitations set expires_at = now() - interval '1 second' where id = %s",
            [made["id"]],
        )
    assert await states(caller) == {made["email"]: "expired"}
    assert refusal(await accept(anonymous, made["link"])) == GONE
    again = await caller.client.post(f"/api/v1/invitations/{made['id']}/resend")
    assert (await accept(anonymous, again.json()["link"])).status_code == 200


async def test_an_address_is_invited_once_and_a_member_not_at_all(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    made = await invite(caller, somebody())
    body = {"email": made["email"], "role": "sre"}
    again = await caller.client.post("/api/v1/invitations", json=body)
    assert refusal(again) == (409, "invitation.exists")
    await accept(anonymous, made["link"])
    member = await caller.client.post("/api/v1/invitations", json=body)
    assert refusal(member) == (409, "member.exists")


async def test_an_account_is_joined_only_by_its_person(
    caller: Caller, app: FastAPI, pool: Pool
) -> None:
    email = await make_user(pool, await make_tenant(pool), Role.SRE)
    stranger = await make_user(pool, await make_tenant(pool), Role.SRE)
    link = (await invite(caller, email))["link"]
    async with client_of(app) as client:
        assert refusal(await accept(client, link)) == (409, "invitation.sign_in")
        assert (await sign_in(client, email, NEW)).status_code == 401
        await sign_in(client, stranger, PASSWORD)
        assert refusal(await accept(client, link)) == (403, "invitation.not_yours")
    async with client_of(app) as client:
        await sign_in(client, email, PASSWORD)
        csrf = client.headers.pop("X-CSRF-Token")
        assert refusal(await accept(client, link)) == (403, "auth.csrf")
        client.headers["X-CSRF-Token"] = csrf
        assert (await accept(client, link)).status_code == 200
        tenants = (await client.get("/api/v1/account")).json()["tenants"]
    roles = {(tenant["id"], tenant["role"]) for tenant in tenants}
    assert (str(caller.scope.tenant_id), "developer") in roles
    assert len(roles) == 2


async def test_an_invitation_never_lowers_who_has_become_a_member_meanwhile(
    caller: Caller, app: FastAPI, pool: Pool
) -> None:
    email = somebody()
    link = (await invite(caller, email, role="viewer"))["link"]
    from api.tenants.service import create_user

    await create_user(
        pool, caller.scope, email=email, name="Ada", role=Role.ADMIN, password=PASSWORD
    )
    async with client_of(app) as client:
        await sign_in(client, email, PASSWORD)
        assert refusal(await accept(client, link)) == (409, "member.exists")
        assert (await client.get("/api/v1/session")).json()["role"] == "admin"


async def test_an_auditor_is_invited_for_a_time(
    caller: Caller, anonymous: httpx.AsyncClient
) -> None:
    email = somebody()
    body = {"email": email, "role": "auditor"}
    assert (await caller.client.post("/api/v1/invitations", json=body)).status_code == 400
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    made = await invite(caller, email, role="auditor", member_until=until)
    await accept(anonymous, made["link"])
    members = (await caller.client.get("/api/v1/members?limit=1000")).json()["items"]
    (auditor,) = [member for member in members if member["email"] == email]
    assert datetime.fromisoformat(auditor["until"]) == datetime.fromisoformat(until)


@pytest.mark.parametrize(
    "email",
    ["", "ada", "@example.com", "ada@", "a da@example.com", "ada@example.com\nBcc: all@example.com",
     "Ada <ada@example.com>", "ada@example.com,eve@example.com", "ada@exa_mple.com", "a" * 330],
)  # fmt: skip
async def test_what_is_no_address_is_refused(caller: Caller, email: str) -> None:
    body = {"email": email, "role": "sre"}
    refused = await caller.client.post("/api/v1/invitations", json=body)
    assert refusal(refused) == (400, "request.invalid")


async def test_an_address_is_not_mailed_without_end(caller: Caller) -> None:
    email = somebody()
    for _ in range(5):
        made = await invite(caller, email)
        await caller.client.post(f"/api/v1/invitations/{made['id']}/cancel")
    body = {"email": email, "role": "sre"}
    refused = await caller.client.post("/api/v1/invitations", json=body)
    assert refusal(refused) == (409, "invitation.too_many")


async def test_another_tenant_finds_no_invitation(caller: Caller, stranger: Caller) -> None:
    made = await invite(caller, somebody())
    assert (await stranger.client.get("/api/v1/invitations?ended=true")).json()["items"] == []
    for act in ("resend", "cancel"):
        answer = await stranger.client.post(f"/api/v1/invitations/{made['id']}/{act}")
        assert answer.status_code == 404
    assert await states(caller) == {made["email"]: "pending"}


async def test_only_a_hash_of_the_token_is_stored(
    caller: Caller, shared_database: Database
) -> None:
    made = await invite(caller, somebody())
    token = token_of(made["link"])
    with psycopg.connect(shared_database.admin) as connection:
        row = connection.execute(
            "select i::text, token_hash from invitations i where id = %s", [made["id"]]
        ).fetchone()
    assert row is not None
    assert token not in row[0]
    assert row[1] == InvitationMaker(PEPPER).hash_of(token)


async def test_a_mail_takes_the_link_to_its_person(by_mail: Caller, mailbox: Mailbox) -> None:
    email = somebody()
    made = await invite(by_mail, email)
    assert (made["link"], made["problem"]) == (None, None)
    assert made["mailed_at"] is not None
    (mail,) = mailbox.mails
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert (mail["To"], mail["From"]) == (email, "BeTrace <betrace@example.com>")
    link = re.search(r"https://betrace\.example\.com/invitations/\S+", text.decode())
    assert link is not None
    assert (await accept(by_mail.client, link[0])).status_code == 200
    assert (await by_mail.client.get("/api/v1/invitations")).json()["items"] == []


async def test_two_mails_in_a_row_have_a_minute_between_them(
    by_mail: Caller, mailbox: Mailbox, shared_database: Database
) -> None:
    made = await invite(by_mail, somebody())
    resend = f"/api/v1/invitations/{made['id']}/resend"
    too_soon = await by_mail.client.post(resend)
    assert refusal(too_soon) == (429, "invitation.just_mailed")
    assert too_soon.headers["Retry-After"] == "60"
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "update invitations set mailed_at = now() - interval '61 seconds' where id = %s",
            [made["id"]],
        )
    assert (await by_mail.client.post(resend)).status_code == 200
    assert len(mailbox.mails) == 2


async def test_a_link_that_the_mail_server_refuses_is_handed_out_with_the_reason(
    by_mail: Caller, mailbox: Mailbox
) -> None:
    made = await invite(by_mail, f"{uuid4().hex}@refused.example")
    assert mailbox.mails == []
    assert made["problem"] == "The mail server did not take the mail: it refuses the recipient."
    assert (await accept(by_mail.client, made["link"])).status_code == 200


async def test_a_mail_server_that_is_away_stops_no_invitation(
    by_mail: Caller, app: FastAPI
) -> None:
    services = by_mail.client._transport.app.state.services  # type: ignore[attr-defined]
    object.__setattr__(services.mailer, "port", 1)
    made = await invite(by_mail, somebody())
    assert made["problem"] == "The mail server did not take the mail: connection refused."
    assert made["link"].startswith("https://betrace.example.com/invitations/")
