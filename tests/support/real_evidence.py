"""A log that the service itself sealed in Postgres, stamped and exported, for tests that attack it.

Keys are made, wrapped and used by the service; that they are those of numbers is how a test holds
what an attacker may have stolen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import httpx

from api.database import open_pool
from api.main import create_app
from api.settings import Settings
from tests.support.authority import Served
from tests.support.evidence import CONTROL, MINUTE_MS, EvidenceLog, a_log
from tests.support.evidence_attacks import OTHER_TENANT, STAMPED, of_another_tenant
from tests.support.evidence_opened import Opened
from tests.support.keys import MASTER
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.sealing import add_tenant, seal_like, sealing, stored_log
from tests.support.tenants import PEPPER, make_key, scope_of
from udfs.evidence.pack import Approval, RuleText

MINUTES: Final = 9
_EVIDENCE: Final = "/api/v1/evidence"


@dataclass(frozen=True)
class Real:
    """Packs as the API exported them, and the database that they are of.

    like: what was sealed, with its signers. Nobody is connected to the database.
    """

    database: Database
    like: EvidenceLog
    packs: dict[str, bytes]

    @property
    def tenant(self) -> UUID:
        """The tenant."""
        return UUID(self.like.tenant)

    def log(self) -> EvidenceLog:
        """Read it out of the database, with the time stamp and the rules of the pack."""
        log = stored_log(self.database, self.tenant, like=self.like)
        whole = Opened.of(log, self.packs["whole"])
        stamp = whole.files[f"stamps/{STAMPED:06}.tsr"]
        log.checkpoints[STAMPED - 1] = replace(log.checkpoints[STAMPED - 1], stamp=stamp)
        log.rules = [_rule(row) for row in whole.lines("rules.jsonl")]
        log.suppressions = []
        return log

    def whole(self) -> Opened:
        """Open the pack."""
        return Opened.of(self.log(), self.packs["whole"])

    def later(self) -> Opened:
        """Open the pack."""
        return Opened.of(self.log(), self.packs["later"])

    def one_control(self) -> Opened:
        """Open the pack."""
        return Opened.of(self.log(), self.packs["one control"])

    def stranger(self) -> Opened:
        """Open the pack."""
        return Opened.of(of_another_tenant(self.like.begin_ms), self.packs["stranger"])


async def sealed_stamped_and_exported(database: Database, authority: Served) -> Real:
    """Let two tenants have logs, one of them with a time stamp, and export packs over REST."""
    begin_ms = (int(time.time()) // 60 - 15) * MINUTE_MS
    like, other = a_log(minutes=MINUTES, begin_ms=begin_ms), of_another_tenant(begin_ms)
    given = {
        "database_url": database.app,
        "secret_key": PEPPER.decode(),
        "kafka": "127.0.0.1:1",
        "keys_provider": "local",
        "keys_master": MASTER,
        "outbound_networks": "127.0.0.1",
    }
    app = create_app(Settings.model_validate(given), rules_log=MemoryRulesLog())
    async with app.router.lifespan_context(app), open_pool(database.app, size=4) as pool:
        transport = httpx.ASGITransport(app=app)
        clients = []
        for log in (like, other):
            tenant = UUID(log.tenant)
            add_tenant(database, tenant)
            client = httpx.AsyncClient(transport=transport, base_url="http://betrace.test")
            client.headers["X-API-Key"] = await make_key(pool, scope_of(tenant))
            clients.append(client)
        ours, theirs = clients

        async def stamp(number: int) -> None:
            if number == STAMPED:
                await _stamp(ours, authority)

        async with sealing(database, scope_of(UUID(like.tenant))) as world:
            await seal_like(like, world, pool, signed=stamp)
        async with sealing(database, scope_of(UUID(OTHER_TENANT)), numbers=[9]) as world:
            await seal_like(other, world, pool)
        period = {"from": _moment(begin_ms), "to": _moment(like.now_ms)}
        later = {"from": _moment(begin_ms + (MINUTES - 2) * MINUTE_MS), "to": period["to"]}
        selected = {"controls": [CONTROL], "disclosure": "selected"}
        packs = {
            "whole": await _exported(ours, period),
            "later": await _exported(ours, later),
            "one control": await _exported(ours, period | selected),
            "stranger": await _exported(theirs, {}),
        }
        for client in clients:
            await client.aclose()
    return Real(database, like, packs)


async def _stamp(client: httpx.AsyncClient, authority: Served) -> None:
    """Have the newest checkpoint stamped, as who presses *Send now* has."""
    certificates = authority.authority.certificate.read_text()
    target = {"kind": "tsa", "url": authority.url, "certificates": certificates}
    made = await client.post(f"{_EVIDENCE}/targets", json={"target": target})
    assert made.status_code == 201, made.text
    sent = await client.post(f"{_EVIDENCE}/targets/{made.json()['id']}/send")
    assert sent.json()["anchor"]["state"] == "done", sent.text


async def _exported(client: httpx.AsyncClient, asked: dict[str, Any]) -> bytes:
    response = await client.post(f"{_EVIDENCE}/export", json=asked)
    assert response.status_code == 200, response.text
    return response.content


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat()


def _rule(row: dict[str, Any]) -> RuleText:
    approvals = tuple(Approval(one["by"], one["at_ms"]) for one in row["approvals"])
    return RuleText(row["id"], row["version"], row["text"], tuple(row["controls"]), approvals)
