"""From a record to a pack with a time stamp over it, checked by the verifier and by hand."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from api.auth.addresses import parse_networks
from api.database import open_pool
from api.evidence.model import Offer
from api.evidence.offering import offer
from api.evidence.sequencer import SealingMetrics, Sequencer, now_ms
from api.keyring.config import KeySettings, key_config
from api.main import create_app
from api.settings import Settings
from api.worker.anchors import AnchorKeeper, AnchorSettings
from tests.integration.api.conftest import NO_KAFKA, Caller, client_of
from tests.support.authority import Authority, served
from tests.support.by_hand import check_by_hand
from tests.support.keys import MASTER, local_keys
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import PEPPER, make_key, make_tenant
from udfs.evidence import verify
from udfs.evidence.records import Act, Outcome

SITE = "betrace.example"
PATIENCE_S = 60.0


@pytest.fixture
async def caller(database: Database) -> AsyncIterator[Caller]:
    """An administrator's key of the one tenant of a database."""
    given = {
        "database_url": database.app,
        "secret_key": PEPPER.decode(),
        "kafka": NO_KAFKA,
        "keys_provider": "local",
        "keys_master": MASTER,
    }
    app = create_app(Settings.model_validate(given), rules_log=MemoryRulesLog())
    async with app.router.lifespan_context(app), open_pool(database.app) as pool:
        scope = await make_tenant(pool)
        async with client_of(app, key=await make_key(pool, scope)) as client:
            yield Caller(scope, client)


def put_records(database: Database, caller: Caller, count: int) -> None:
    """Offer acts to the tenant's log."""
    with psycopg.connect(database.worker) as connection:
        act = Act("rule.changed", "user:7", "rule:1", Outcome.SUCCESS)
        tenant = caller.scope.tenant_id
        at_ms = now_ms()
        offers = [
            Offer(tenant=tenant, id=f"{at_ms}-{number}", time_ms=at_ms, body=act)
            for number in range(count)
        ]
        assert offer(connection, offers) == []


@contextmanager
def keeping(database: Database) -> Iterator[None]:
    """Let the thread of a worker hand checkpoints over until the block ends."""
    keys = key_config(KeySettings(keys_provider="local", keys_master=SecretStr(MASTER)))
    stop = threading.Event()
    keeper = AnchorKeeper(
        AnchorSettings(keys=keys, networks=parse_networks(["127.0.0.1"])),
        dsn=database.worker,
        registry=CollectorRegistry(),
        stop=stop,
        pause_s=0.1,
    )
    thread = threading.Thread(target=keeper.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


async def until_anchored(client: httpx.AsyncClient) -> None:
    """Return once the newest checkpoint is at its target."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        [newest] = (await client.get("/api/v1/evidence/anchors")).json()["items"]
        if [each["state"] for each in newest["anchors"]] == ["done"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_S} s: {newest['anchors']}")


async def exported(client: httpx.AsyncClient) -> bytes:
    response = await client.post("/api/v1/evidence/export", json={})
    assert response.status_code == 200, response.text
    return response.content


async def test_a_stamp_goes_into_the_pack_and_is_checked_by_everybody(
    caller: Caller, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "authority").mkdir()
    (tmp_path / "pack").mkdir()
    authority = Authority.made_in(tmp_path / "authority")
    with served(authority) as tsa:
        target = {
            "kind": "tsa",
            "url": tsa.url,
            "certificates": authority.certificate.read_text(),
        }
        await caller.client.post("/api/v1/evidence/targets", json={"target": target})
        async with open_pool(database.worker, size=4) as pool:
            keys = local_keys(pool)
            metrics = SealingMetrics(CollectorRegistry())
            sequencer = Sequencer(pool, keys, site=SITE, metrics=metrics)
            put_records(database, caller, 3)
            await sequencer.round()
        with keeping(database):
            await until_anchored(caller.client)
    log = (await caller.client.get("/api/v1/evidence/log")).json()
    [key] = log["verifier_keys"]
    pack = await exported(caller.client)
    asked = verify.Asked([key], authority=authority.certificate)
    result = verify.verify(io.BytesIO(pack), asked)
    assert (result["failures"], result["stamps"]) == ([], 1)
    lines = check_by_hand(pack, tmp_path / "pack", key=key, authority=authority.certificate)
    size = log["newest"]["size"]
    assert lines[:-1] == [
        "Signature Verified Successfully",
        "the manifest is the one signed",
        "the log is the one of the manifest",
        "Signature Verified Successfully",
        f"{size} records give the root that was signed",
        "Verification: OK",
    ]
