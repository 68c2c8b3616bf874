"""Checkpoints handed over: to OpenSSL's authority, a webhook, moto's S3 and a mail server."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import boto3
import httpx
import psycopg
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.anchors.metrics import AnchorMetrics
from api.anchors.model import NotAnchored
from api.anchors.sealed_secrets import SecretBox
from api.anchors.sending import Sender, open_ways
from api.anchors.work import TOLD_AFTER, Anchoring
from api.auth.addresses import parse_networks
from api.auth.principal import Role
from api.database import Pool, open_pool
from api.mail import Security, SmtpMailer
from api.settings import Settings
from tests.integration.api.conftest import Caller, client_of
from tests.support.anchors import MINUTE_MS, put_checkpoint
from tests.support.authority import Authority, Served, served
from tests.support.keys import MASTER, local_keys
from tests.support.kms import running_kms
from tests.support.mailbox import Mailbox, running_mailbox
from tests.support.postgres import Database
from tests.support.receiver import Receiver, receiving
from tests.support.tenants import make_key, make_tenant
from udfs.evidence.verify import openssl_accepts

TARGETS = "/api/v1/evidence/targets"
ANCHORS = "/api/v1/evidence/anchors"
HOUR_MS = 60 * MINUTE_MS
BEGIN_MS = 1_795_000_000_000
LOOPBACK = parse_networks(["127.0.0.1"])


@dataclass
class Worker:
    """What the thread of the worker does, one round at a time."""

    anchoring: Anchoring
    registry: CollectorRegistry

    def told(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.registry.get_sample_value(f"betrace_worker_anchors{name}", labels) or 0.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all tests."""
    return Authority.made_in(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tsa(authority: Authority) -> Iterator[Served]:
    """The authority, at a URL."""
    with served(authority) as serving:
        yield serving


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A running mail server."""
    with running_mailbox() as box:
        yield box


@pytest.fixture
def settings(settings: Settings, mailbox: Mailbox) -> Settings:
    """An installation with keys and mail that may call this machine."""
    return settings.model_copy(
        update={
            "outbound_networks": "127.0.0.1",
            "outbound_http": True,
            "keys_provider": "local",
            "keys_master": type(settings.secret_key)(MASTER),
            "smtp_host": "127.0.0.1",
            "smtp_port": mailbox.port,
            "smtp_security": "none",
            "mail_from": "BeTrace <betrace@example.com>",
            "public_url": "https://betrace.example.com",
        }
    )


@pytest.fixture
async def worker(shared_database: Database, mailbox: Mailbox) -> AsyncIterator[Worker]:
    """A worker, by its own role."""
    registry = CollectorRegistry()
    mailer = SmtpMailer(
        host="127.0.0.1", port=mailbox.port, security=Security.NONE, sender="b@example.com"
    )
    async with open_pool(shared_database.worker, size=4) as pool:
        ways = open_ways(networks=LOOPBACK, plain_http=True, mailer=mailer)
        sender = Sender(ways, SecretBox(local_keys(pool)))
        yield Worker(Anchoring(pool, sender, AnchorMetrics(registry)), registry)


async def made(caller: Caller, target: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = await caller.client.post(TARGETS, json={"target": target, **more})
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def tsa_draft(serving: Served) -> dict[str, Any]:
    pem = serving.authority.certificate.read_text()
    return {"kind": "tsa", "url": serving.url, "certificates": pem}


async def of(caller: Caller) -> list[dict[str, Any]]:
    """Return what became of each checkpoint, oldest checkpoint first."""
    page = (await caller.client.get(ANCHORS)).json()
    return [
        {"checkpoint": item["number"], "kind": anchor["kind"], "state": anchor["state"]}
        for item in reversed(page["items"])
        for anchor in item["anchors"]
    ]


def may_try_now(database: Database) -> None:
    """Let time pass until targets that fail are tried again."""
    with psycopg.connect(database.admin) as connection:
        connection.execute("set local row_security = off")
        connection.execute("set session_replication_role = replica")
        connection.execute("update anchor_targets set next_try_at = null")


async def test_an_authority_stamps_checkpoints_at_the_cadence_that_was_asked_for(
    caller: Caller, worker: Worker, tsa: Served, shared_database: Database
) -> None:
    await made(caller, tsa_draft(tsa), every_s=3_600)
    notes = {}
    for number, minutes in enumerate((0, 1, 59, 60, 61, 121), 1):
        note = put_checkpoint(
            shared_database,
            caller.scope,
            size=number,
            time_ms=BEGIN_MS + minutes * MINUTE_MS,
        )
        notes[number] = note
        await worker.anchoring.round()
    assert await of(caller) == [
        {"checkpoint": number, "kind": "tsa", "state": "done"} for number in (1, 4, 6)
    ]
    for item in (await caller.client.get(ANCHORS)).json()["items"]:
        for anchor in item["anchors"]:
            read = await caller.client.get(f"{ANCHORS}/{anchor['id']}/stamp")
            assert read.headers["content-type"] == "application/timestamp-reply"
            note = notes[item["number"]]
            assert item["note"].encode() == note
            assert openssl_accepts(note, read.content, tsa.authority.certificate)


async def test_of_a_log_that_does_not_grow_a_checkpoint_a_day_goes_out(
    caller: Caller, worker: Worker, tsa: Served, shared_database: Database
) -> None:
    await made(caller, tsa_draft(tsa), every_s=3_600)
    for hours in (0, 2, 23, 24):
        at_ms = BEGIN_MS + hours * HOUR_MS
        put_checkpoint(shared_database, caller.scope, size=1, time_ms=at_ms)
        await worker.anchoring.round()
    assert [row["checkpoint"] for row in await of(caller)] == [1, 4]


async def test_an_outage_is_seen_left_alone_for_a_while_and_caught_up(
    caller: Caller, worker: Worker, tsa: Served, shared_database: Database
) -> None:
    target = await made(caller, tsa_draft(tsa), every_s=60)
    tsa.down = True
    for number in (1, 2, 3):
        put_checkpoint(
            shared_database, caller.scope, size=number, time_ms=BEGIN_MS + number * MINUTE_MS
        )
        await worker.anchoring.round()
    assert len(tsa.asked) == 1, "it is not asked again before its time"
    told = (await caller.client.get(f"{TARGETS}/{target['id']}")).json()
    assert (told["waiting"], told["failures"]) == (3, 1)
    assert told["last_error"] == "The answer has status 503: no time today."
    assert told["next_try_at"] > told["failing_since"]
    # Of all tenants of the database, those of other tests too.
    waiting = worker.told("_waiting", kind="tsa")
    assert waiting >= 3
    assert worker.told("_failing_targets", kind="tsa") >= 1
    assert worker.told("_lag_seconds", kind="tsa") > 0
    assert worker.told("_total", kind="tsa", outcome="refused") == 1
    tsa.down = False
    may_try_now(shared_database)
    await worker.anchoring.round()
    assert await of(caller) == [
        {"checkpoint": number, "kind": "tsa", "state": "done"} for number in (1, 2, 3)
    ]
    told = (await caller.client.get(f"{TARGETS}/{target['id']}")).json()
    assert (told["waiting"], told["failures"], told["failing_since"]) == (0, 0, None)
    assert told["last_done_at"] is not None
    assert worker.told("_waiting", kind="tsa") == waiting - 3


async def test_admins_have_one_notice_of_a_target_that_keeps_failing_and_it_ends_by_itself(
    app: FastAPI,
    pool: Pool,
    caller: Caller,
    stranger: Caller,
    worker: Worker,
    tsa: Served,
    shared_database: Database,
) -> None:
    target = await made(caller, tsa_draft(tsa), every_s=60)
    put_checkpoint(shared_database, caller.scope, size=1, time_ms=BEGIN_MS)

    async def notices(of: httpx.AsyncClient) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await of.get("/api/v1/notices")).json()["items"]
        return items

    async def fail(times: int) -> None:
        for _ in range(times):
            may_try_now(shared_database)
            await worker.anchoring.round()

    tsa.down = True
    await fail(TOLD_AFTER - 1)
    assert await notices(caller.client) == []
    await fail(3)
    [told] = await notices(caller.client)
    assert (told["kind"], told["acknowledged_at"]) == ("failing_target", None)
    assert (told["target"]["target"], told["target"]["failures"]) == (target["id"], TOLD_AFTER)
    assert told["target"]["place"] == tsa.url
    assert "no time today" in told["what"]
    assert await notices(stranger.client) == []
    officer = await make_key(pool, caller.scope, Role.COMPLIANCE_VIEWER)
    async with client_of(app, key=officer) as client:
        assert await notices(client) == []
    tsa.down = False
    await fail(1)
    [told] = await notices(caller.client)
    assert told["acknowledged_by"] == "betrace"
    put_checkpoint(shared_database, caller.scope, size=2, time_ms=BEGIN_MS + HOUR_MS)
    tsa.down = True
    await fail(TOLD_AFTER)
    assert [one["acknowledged_by"] for one in await notices(caller.client)] == [None, "betrace"]


async def test_a_replayed_answer_is_not_kept(
    caller: Caller, worker: Worker, tsa: Served, shared_database: Database
) -> None:
    target = await made(caller, tsa_draft(tsa))
    note = put_checkpoint(shared_database, caller.scope, size=1, time_ms=BEGIN_MS)
    old = tsa.authority.stamp(note)
    tsa.reply = lambda _: old
    await worker.anchoring.round()
    assert [row["state"] for row in await of(caller)] == ["pending"]
    told = (await caller.client.get(f"{TARGETS}/{target['id']}")).json()
    assert "Nonce" in told["last_error"]


async def test_many_workers_hand_each_checkpoint_over_once(
    caller: Caller, worker: Worker, hook: Receiver, shared_database: Database
) -> None:
    await made(caller, {"kind": "webhook", "url": hook.url}, every_s=60)
    for number in (1, 2, 3):
        put_checkpoint(
            shared_database, caller.scope, size=number, time_ms=BEGIN_MS + number * MINUTE_MS
        )
        await asyncio.gather(*(worker.anchoring.round() for _ in range(4)))
    numbers = [json.loads(each.body)["data"]["number"] for each in hook.received]
    assert numbers == [1, 2, 3]


async def test_a_webhook_gets_the_note_signed_by_its_secret(
    caller: Caller, worker: Worker, hook: Receiver, shared_database: Database
) -> None:
    target = await made(caller, {"kind": "webhook", "url": hook.url})
    secret = target["webhook_secret"]
    assert "webhook_secret" not in (await caller.client.get(f"{TARGETS}/{target['id']}")).json()
    note = put_checkpoint(shared_database, caller.scope, size=9, time_ms=BEGIN_MS)
    hook.status = 500
    await worker.anchoring.round()
    hook.status = 204
    may_try_now(shared_database)
    await worker.anchoring.round()
    first, second = hook.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    told = json.loads(second.body)
    assert told["type"] == "evidence.checkpoint"
    assert told["data"] == {
        "tenant_id": str(caller.scope.tenant_id),
        "number": 1,
        "size": 9,
        "note": note.decode(),
    }
    signed = b".".join(
        [
            second.headers["webhook-id"].encode(),
            second.headers["webhook-timestamp"].encode(),
            second.body,
        ]
    )
    key = b64decode(secret.removeprefix("whsec_"))
    expected = b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert second.headers["webhook-signature"] == f"v1,{expected}"
    changed = await caller.client.patch(f"{TARGETS}/{target['id']}", json={"new_secret": True})
    assert changed.json()["webhook_secret"] not in (None, secret)


async def test_a_mail_has_the_note_byte_for_byte(
    caller: Caller, worker: Worker, mailbox: Mailbox, shared_database: Database
) -> None:
    await made(caller, {"kind": "mail", "address": "evidence@example.com"})
    note = put_checkpoint(shared_database, caller.scope, size=9, time_ms=BEGIN_MS)
    await worker.anchoring.round()
    [mail] = mailbox.mails
    text, attached = mail.get_payload()
    assert mail["To"] == "evidence@example.com"
    assert attached.get_filename() == "checkpoint-1.note"
    assert attached.get_payload(decode=True) == note
    assert str(caller.scope.tenant_id) in text.get_payload(decode=True).decode()


async def test_a_mailbox_that_is_refused_is_told_of(
    caller: Caller, worker: Worker, shared_database: Database
) -> None:
    target = await made(caller, {"kind": "mail", "address": "evidence@refused.example"})
    put_checkpoint(shared_database, caller.scope, size=9, time_ms=BEGIN_MS)
    tried = (await caller.client.post(f"{TARGETS}/{target['id']}/send")).json()
    assert (tried["taken"], tried["anchor"]["state"]) == (False, "pending")
    assert tried["refusal"] == "The mail server did not take it: it refuses the recipient."


@dataclass(frozen=True)
class Cloud:
    """moto's server, which checks signatures, and a key that may put objects there."""

    url: str
    access_key_id: str
    secret: str

    def client(self, service: str) -> Any:
        """Return a client of its own, as whoever holds the bucket has one."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret,
        )


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A bucket "evidence" with Object Lock, at a server that checks signatures."""
    with running_kms() as url:
        iam = Cloud(url, "any", "any-secret").client("iam")
        iam.create_user(UserName="betrace")
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam.put_user_policy(UserName="betrace", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="betrace")["AccessKey"]
        httpx.post(f"{url}/moto-api/reset-auth", content=b"0").raise_for_status()
        found = Cloud(url, key["AccessKeyId"], key["SecretAccessKey"])
        found.client("s3").create_bucket(
            Bucket="evidence",
            ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        )
        yield found


def bucket_draft(cloud: Cloud, **more: Any) -> dict[str, Any]:
    return {
        "kind": "s3",
        "name": "evidence",
        "region": "eu-central-1",
        "endpoint": cloud.url,
        "access_key_id": cloud.access_key_id,
        "secret": cloud.secret,
        **more,
    }


async def test_a_bucket_gets_the_note_and_locks_it(
    caller: Caller, worker: Worker, cloud: Cloud, shared_database: Database
) -> None:
    prefix = f"{caller.scope.tenant_id}/"
    locked = {"prefix": prefix, "lock": "compliance", "lock_days": 30}
    target = await made(caller, bucket_draft(cloud, **locked))
    assert "secret" not in json.dumps(target["bucket"])
    note = put_checkpoint(shared_database, caller.scope, size=9, time_ms=BEGIN_MS)
    await worker.anchoring.round()
    assert [row["state"] for row in await of(caller)] == ["done"]
    s3 = cloud.client("s3")
    name = f"{prefix}{1:012}.note"
    assert s3.get_object(Bucket="evidence", Key=name)["Body"].read() == note
    kept = s3.head_object(Bucket="evidence", Key=name)
    assert kept["ObjectLockMode"] == "COMPLIANCE"
    until = datetime.fromisoformat(str(kept["ObjectLockRetainUntilDate"]))
    assert timedelta(days=29) < until - datetime.now(UTC) < timedelta(days=31)


async def test_a_wrong_secret_is_told_of_and_mended(
    caller: Caller, cloud: Cloud, shared_database: Database
) -> None:
    target = await made(caller, bucket_draft(cloud, prefix="wrong/", secret="not the secret"))
    put_checkpoint(shared_database, caller.scope, size=9, time_ms=BEGIN_MS)
    url = f"{TARGETS}/{target['id']}"
    refused = (await caller.client.post(f"{url}/send")).json()
    assert not refused["taken"]
    assert "SignatureDoesNotMatch" in refused["refusal"]
    mended = {"access_key_id": cloud.access_key_id, "secret": cloud.secret}
    assert (await caller.client.patch(url, json=mended)).status_code == 200
    taken = (await caller.client.post(f"{url}/send")).json()
    assert (taken["taken"], taken["anchor"]["state"]) == (True, "done")


async def test_what_is_done_stays_as_it_is_whoever_asks(
    caller: Caller, worker: Worker, tsa: Served, shared_database: Database
) -> None:
    await made(caller, tsa_draft(tsa))
    put_checkpoint(shared_database, caller.scope, size=1, time_ms=BEGIN_MS)
    await worker.anchoring.round()
    for dsn in (shared_database.app, shared_database.worker, shared_database.admin):
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "select set_config('app.tenant_id', %s, true)", [str(caller.scope.tenant_id)]
            )
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute("update anchors set state = 'failed', reason = 'x'")
    with (
        psycopg.connect(shared_database.admin) as connection,
        pytest.raises(psycopg.errors.RestrictViolation),
    ):
        connection.execute("delete from anchors")
    for dsn in (shared_database.app, shared_database.worker):
        with (
            psycopg.connect(dsn) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("delete from anchors")


async def test_by_hand_the_newest_checkpoint_goes_out_at_once_and_that_is_on_record(
    caller: Caller, tsa: Served, shared_database: Database
) -> None:
    target = await made(caller, tsa_draft(tsa))
    url = f"{TARGETS}/{target['id']}"
    nothing = await caller.client.post(f"{url}/send")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "anchor.no_checkpoint")
    put_checkpoint(shared_database, caller.scope, size=1, time_ms=BEGIN_MS)
    await caller.client.patch(url, json={"enabled": False})
    first, again = [(await caller.client.post(f"{url}/send")).json() for _ in range(2)]
    assert (first["taken"], first["anchor"]["state"]) == (True, "done")
    assert again == first
    assert len(tsa.asked) == 2
    items = (await caller.client.get("/api/v1/audit?action=anchor_target")).json()["items"]
    assert [row["action"] for row in reversed(items)] == [
        "anchor_target.created",
        "anchor_target.changed",
        "anchor_target.tried",
        "anchor_target.tried",
    ]


async def test_a_target_that_was_removed_gets_nothing_and_its_secret_is_gone(
    caller: Caller, worker: Worker, hook: Receiver, shared_database: Database
) -> None:
    target = await made(caller, {"kind": "webhook", "url": hook.url}, every_s=60)
    hook.status = 500
    for number in (1, 2):
        at_ms = BEGIN_MS + number * MINUTE_MS
        put_checkpoint(shared_database, caller.scope, size=number, time_ms=at_ms)
        await worker.anchoring.round()
    url = f"{TARGETS}/{target['id']}"
    assert (await caller.client.delete(url)).status_code == 204
    assert (await caller.client.get(url)).status_code == 404
    hook.status = 204
    may_try_now(shared_database)
    await worker.anchoring.round()
    assert len(hook.received) == 1
    page = (await caller.client.get(ANCHORS)).json()
    reasons = {each["reason"] for item in page["items"] for each in item["anchors"]}
    assert reasons == {"The target was removed."}
    with psycopg.connect(shared_database.admin) as connection:
        kept = connection.execute(
            "select secret from anchor_targets where tenant_id = %s", [caller.scope.tenant_id]
        ).fetchall()
    assert kept == [(None,)]
    await made(caller, {"kind": "webhook", "url": hook.url})


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({"kind": "tsa", "url": "https://a.example/tsr", "certificates": "none"}, "certificate"),
        ({"kind": "webhook", "url": "ftp://a.example"}, "http"),
        ({"kind": "webhook", "url": "https://u:p@a.example"}, "password"),
        ({"kind": "mail", "address": "a@b@c"}, "address"),
        ({"kind": "mail", "address": "a@b\nBcc: c@d"}, "address"),
        ({"kind": "pigeon"}, "pigeon"),
    ],
)
async def test_what_can_be_no_target_is_refused_with_its_reason(
    target: dict[str, Any], field: str, caller: Caller
) -> None:
    refused = await caller.client.post(TARGETS, json={"target": target})
    assert refused.status_code == 400
    assert field in refused.text
    assert (await caller.client.get(TARGETS)).json() == {"items": []}


async def test_without_keys_no_secret_is_taken_and_inside_addresses_are_not_called(
    shared_database: Database, settings: Settings, pool: Pool, authority: Authority
) -> None:
    from api.main import create_app

    bare = settings.model_copy(update={"keys_provider": "", "outbound_networks": ""})
    app = create_app(bare)
    scope = await make_tenant(pool)
    with served(authority) as serving:
        async with (
            app.router.lifespan_context(app),
            client_of(app, key=await make_key(pool, scope)) as client,
        ):
            caller = Caller(scope, client)
            target = {"kind": "webhook", "url": "https://a.example"}
            refused = await client.post(TARGETS, json={"target": target})
            assert (refused.status_code, refused.json()["code"]) == (409, "anchor.no_keys")
            inside = await made(caller, tsa_draft(serving))
            put_checkpoint(shared_database, scope, size=1, time_ms=BEGIN_MS)
            tried = (await client.post(f"{TARGETS}/{inside['id']}/send")).json()
        assert tried["refusal"] == "The host of this URL is not one that may be called."
        assert serving.asked == []


async def test_nothing_of_it_is_another_tenant_s(
    caller: Caller, stranger: Caller, tsa: Served, worker: Worker, shared_database: Database
) -> None:
    target = await made(caller, tsa_draft(tsa))
    put_checkpoint(shared_database, caller.scope, size=1, time_ms=BEGIN_MS)
    await worker.anchoring.round()
    [item] = (await caller.client.get(ANCHORS)).json()["items"]
    paths = [("GET", f"{TARGETS}/{target['id']}"), ("DELETE", f"{TARGETS}/{target['id']}")]
    paths += [("PATCH", f"{TARGETS}/{target['id']}"), ("POST", f"{TARGETS}/{target['id']}/send")]
    paths += [("GET", f"{ANCHORS}/{item['anchors'][0]['id']}/stamp")]
    for method, path in paths:
        json_body = {} if method == "PATCH" else None
        assert (await stranger.client.request(method, path, json=json_body)).status_code == 404
    assert (await stranger.client.get(TARGETS)).json() == {"items": []}
    assert (await stranger.client.get(ANCHORS)).json() == {"items": [], "next_cursor": None}


async def test_a_secret_opens_for_its_tenant_and_target_alone(pool: Pool) -> None:
    tenants = [await make_tenant(pool) for _ in range(2)]
    box = SecretBox(local_keys(pool))
    one, other = UUID(int=1), UUID(int=2)
    sealed = await box.seal(tenants[0].tenant_id, one, "whsec_x")
    assert await box.open(tenants[0].tenant_id, one, sealed) == "whsec_x"
    for tenant, target in ((tenants[0], other), (tenants[1], one)):
        with pytest.raises(NotAnchored, match="cannot be read"):
            await box.open(tenant.tenant_id, target, sealed)
