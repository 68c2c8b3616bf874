"""Two tenants beside one another: two hundred things that one or the other does, in any order.

After each of them the other tenant's rows are what they were, to the byte, and the answer holds
nothing of the other: no mark, no id, not in a list, an error, a header, a file or the live feed.
Then what the services' own database roles may do by direct SQL to what is not theirs.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql

from api.auth.principal import TenantScope
from api.database import Pool
from api.signals.feed import Change
from tests.integration.api.conftest import client_of
from tests.support.filled import Filled, filled_tenant
from tests.support.postgres import Database
from tests.support.tenants import (
    insert_letter,
    insert_signal,
    insert_trace,
    make_key,
    make_user,
    settle_sums,
)

OPERATIONS: Final = 200
SEED: Final = int(os.environ.get("BETRACE_TEST_SEED", "6"))
PATIENCE_S: Final = 30
LISTS: Final = [
    "/api/v1/rules", "/api/v1/signals", "/api/v1/signals?shown=all", "/api/v1/signals/folds",
    "/api/v1/backtests", "/api/v1/dead-letters", "/api/v1/notices", "/api/v1/audit",
    "/api/v1/audit/export", "/api/v1/audit/export?format=csv", "/api/v1/session",
    "/api/v1/members", "/api/v1/invitations?ended=true", "/settings/team",
    "/api/v1/tenant", "/settings/tenant", "/api/v1/usage", "/settings/usage",
    "/api/v1/tenant/deletion", "/settings/data",
    "/welcome", "/welcome/progress",
    "/signals", "/rules", "/dead-letters", "/notices", "/notices/count", "/audit", "/audit/export",
]  # fmt: skip
THINGS: Final = [
    "/api/v1/signals/{signal_id}", "/api/v1/traces/{trace_id}", "/api/v1/dead-letters/{letter_id}",
    "/api/v1/backtests/{backtest_id}", "/api/v1/backtests/{backtest_id}/results",
    "/signals/{signal_id}", "/traces/{trace_id}", "/backtests/{backtest_id}",
]  # fmt: skip
CHANGES: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("PATCH", "/api/v1/signals/{signal_id}", {"status": "investigating"}),
    ("PATCH", "/api/v1/signals/{signal_id}", {"status": "resolved", "reason": "done"}),
    ("PATCH", "/api/v1/signals/{signal_id}", {"status": "open"}),
    ("POST", "/api/v1/dead-letters/{letter_id}/discard", {"note": "no use"}),
    ("POST", "/api/v1/notices/{notice_id}/acknowledge", {}),
    ("POST", "/api/v1/backtests/{backtest_id}/cancel", {}),
]
RULE_IDS: Final = ["promise", "first", "second", "third"]


@dataclass(slots=True)
class Side:
    """One tenant: whoever acts for it, what it must have, and where its feed was read to."""

    filled: Filled
    client: httpx.AsyncClient
    email: str
    place: str
    rules: dict[str, str] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> set[str]:
        """What nobody else may ever see."""
        own = {self.filled.mark, self.email, str(self.filled.scope.tenant_id)}
        ids = self.filled.ids
        own |= {ids[name] for name in ("signal_id", "trace_id", "letter_id", "notice_id")}
        own |= {ids["member_id"], ids["invitation_id"]}
        return own | {ids["backtest_id"], *self.signals, *self.traces, *self.letters}

    def ids(self, dice: random.Random) -> dict[str, str]:
        """Return ids of things it has, any of them."""
        chosen = {
            "signal_id": dice.choice([self.filled.ids["signal_id"], *self.signals]),
            "trace_id": dice.choice([self.filled.ids["trace_id"], *self.traces]),
            "letter_id": dice.choice([self.filled.ids["letter_id"], *self.letters]),
        }
        return {**self.filled.ids, **chosen}


@dataclass(slots=True)
class Play:
    """The two sides, the dice, and all that one of them may do."""

    app: FastAPI
    database: Database
    dice: random.Random
    one: Side
    other: Side

    async def turn(self) -> str:
        """Let one of them do something, and look that the other notices nothing."""
        act = self.dice.choice(
            [self.save, self.switch, self.delete, self.insert, self.look, self.read, self.change,
             self.read_foreign, self.change_foreign, self.borrow_cursor, self.err, self.listen]
        )  # fmt: skip
        if self.dice.random() < 0.5:
            self.one, self.other = self.other, self.one
        before = fingerprint(self.database, self.other.filled.scope)
        await act()
        assert fingerprint(self.database, self.other.filled.scope) == before, act.__name__
        return act.__name__

    async def ask(
        self, method: str, path: str, body: Any = None, *, asked: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request of the side, and look for the other in all that comes back.

        asked: ids of the other's that the side has named itself, and may be told so.
        """
        url = path.format(**(asked or {}))
        response = await self.one.client.request(method, url, json=body)
        assert response.status_code < 500, (url, response.text)
        told = response.text + str(response.headers)
        for name, value in (asked or {}).items():
            told = told.replace(value, "") if f"{{{name}}}" in path else told
        found = {secret for secret in self.other.secrets if secret in told}
        assert found == set(), (method, url)
        return response

    async def save(self) -> None:
        rule_id = self.dice.choice(RULE_IDS)
        name = f"{self.one.filled.mark} {self.dice.randrange(1000)}"
        rule = {"rule": "when { a } never { b }", "name": name}
        response = await self.ask("PUT", f"/api/v1/rules/{rule_id}", rule)
        assert response.status_code in (200, 201)
        self.one.rules[rule_id] = name

    async def switch(self) -> None:
        rule_id = self.dice.choice(RULE_IDS)
        body = {"state": self.dice.choice(["active", "shadow", "off"])}
        response = await self.ask("POST", f"/api/v1/rules/{rule_id}/state", body)
        assert (response.status_code == 200) == (rule_id in self.one.rules)

    async def delete(self) -> None:
        rule_id = self.dice.choice(RULE_IDS[1:])
        response = await self.ask("DELETE", f"/api/v1/rules/{rule_id}")
        assert (response.status_code == 204) == (rule_id in self.one.rules)
        self.one.rules.pop(rule_id, None)

    async def insert(self) -> None:
        """What the worker writes: a signal, a letter and the copy of a trace."""
        side, worker, mark = self.one, self.database.worker, self.one.filled.mark
        signal_id = insert_signal(worker, side.filled.scope, rule_name=mark, root_name=mark)
        side.signals.append(signal_id)
        side.unseen.append(signal_id)
        side.letters.append(insert_letter(worker, side.filled.scope, detail=mark))
        trace_id = self.dice.randbytes(16).hex()
        insert_trace(worker, side.filled.scope, trace_id, mark)
        side.traces.append(trace_id)

    async def look(self) -> None:
        path = self.dice.choice(LISTS)
        response = await self.ask("GET", path)
        assert response.status_code == 200
        if path == "/api/v1/rules":
            names = {item["id"]: item["name"] for item in response.json()["items"]}
            assert names == self.one.rules
        if path == "/api/v1/dead-letters":
            assert {item["id"] for item in response.json()["items"]} == {
                self.one.filled.ids["letter_id"], *self.one.letters,
            }  # fmt: skip

    async def read(self) -> None:
        ids = self.one.ids(self.dice)
        path = self.dice.choice(THINGS)
        response = await self.ask("GET", path.format(**ids))
        assert response.status_code == 200, path

    async def change(self) -> None:
        method, path, body = self.dice.choice(CHANGES)
        response = await self.ask(method, path.format(**self.one.ids(self.dice)), body)
        assert response.status_code in (200, 409)

    async def read_foreign(self) -> None:
        path = self.dice.choice(THINGS)
        response = await self.ask("GET", path, asked=self.other.ids(self.dice))
        assert response.status_code == 404, path

    async def change_foreign(self) -> None:
        method, path, body = self.dice.choice(CHANGES)
        response = await self.ask(method, path, body, asked=self.other.ids(self.dice))
        assert response.status_code == 404, path

    async def borrow_cursor(self) -> None:
        """A cursor of the other's shows the own rows that come after it, and no more."""
        path = self.dice.choice(["/api/v1/signals", "/api/v1/audit", "/api/v1/dead-letters"])
        theirs = (await self.other.client.get(f"{path}?limit=1")).json()["next_cursor"]
        if theirs is not None:
            response = await self.one.client.get(path, params={"cursor": theirs})
            assert response.status_code == 200
            assert not [secret for secret in self.other.secrets if secret in response.text]

    async def err(self) -> None:
        """Refusals tell of the request and of nothing else."""
        refused = [
            ("POST", "/api/v1/rules", {"id": "first", "rule": "when { a"}),
            ("POST", "/api/v1/rules", {"id": "promise", "rule": "when { a } never { b }"}),
            ("GET", "/api/v1/signals?cursor=x", None),
            ("GET", "/api/v1/audit?cursor=x", None),
            ("GET", f"/api/v1/signals/{'0' * 32}", None),
            ("POST", "/api/v1/backtests", {"rules": [{"id": "nobodys"}]}),
        ]
        method, path, body = self.dice.choice(refused)
        assert (await self.ask(method, path, body)).status_code in (400, 404, 409, 422)
        nobody = {"assignee": self.other.email}
        path = f"/api/v1/signals/{self.one.filled.ids['signal_id']}"
        assert (await self.ask("PATCH", path, nobody)).status_code == 400

    async def listen(self) -> None:
        """The feed tells every signal that came since, all of them the side's own."""
        side = self.one
        feed = self.app.state.services.feed.events(side.filled.scope, last_event_id=side.place)
        waiting = set(side.unseen)
        async with asyncio.timeout(PATIENCE_S):
            while waiting:
                event = await anext(feed)
                assert event.change is not Change.RELOAD
                own = {side.filled.ids["signal_id"], *side.signals}
                assert event.signal.id in own
                waiting.discard(event.signal.id)
                side.place = event.id
        side.unseen.clear()
        await feed.aclose()


PASSING: Final = {"redaction_rekeyings"}
"""Tables whose rows the API takes away within seconds, whoever does what."""


def fingerprint(database: Database, scope: TenantScope) -> dict[str, str]:
    """Return a digest of the tenant's rows of every table, but for when credentials were used."""
    with psycopg.connect(database.admin) as connection:
        parts = [
            sql.SQL(
                "select {name}, md5(coalesce(string_agg(r, ',' order by r), '')) from (select"
                " (to_jsonb(t) - 'last_used_at' - 'last_seen_at')::text as r"
                " from {table} t where tenant_id = %(tenant)s) rows"
            ).format(name=sql.Literal(table), table=sql.Identifier(table))
            for table in tables_with_a_tenant(connection)
            if table not in PASSING
        ]
        rows = connection.execute(sql.SQL(" union all ").join(parts), {"tenant": scope.tenant_id})
        return dict(rows.fetchall())


def tables_with_a_tenant(connection: psycopg.Connection) -> list[str]:
    """Return every table whose rows belong to tenants, and every view of such tables."""
    rows = connection.execute(
        "select table_name from information_schema.columns where table_schema = 'public'"
        " and column_name = 'tenant_id' order by table_name"
    )
    return [row[0] for row in rows]


@pytest.fixture
async def play(app: FastAPI, pool: Pool, shared_database: Database) -> AsyncIterator[Play]:
    """Two tenants with one of everything, an administrator's key and a person each."""
    sides = []
    for _ in range(2):
        filled = await filled_tenant(pool, shared_database)
        client = client_of(app, key=await make_key(pool, filled.scope))
        email = await make_user(pool, filled.scope)
        place = await app.state.services.feed.place(filled.scope)
        sides.append(Side(filled, client, email, place, rules={"promise": ""}))
    yield Play(app, shared_database, random.Random(SEED), *sides)
    for side in sides:
        await side.client.aclose()


async def test_two_hundred_operations_of_two_tenants_never_meet(play: Play) -> None:
    for side in (play.one, play.other):
        rule = {"rule": "when { a } never { b }", "name": side.filled.mark}
        await side.client.put("/api/v1/rules/promise", json=rule)
        side.rules["promise"] = side.filled.mark
    done: set[str] = set()
    for number in range(OPERATIONS):
        try:
            done.add(await play.turn())
        except AssertionError as error:
            raise AssertionError(f"operation {number} of seed {SEED}: {error}") from error
    assert len(done) == 12, "every kind of operation was among them"
    for _ in range(2):
        play.one, play.other = play.other, play.one
        raised = json.loads((await play.ask("GET", "/api/v1/signals?limit=1000")).text)
        assert {item["id"] for item in raised["items"]} == {
            play.one.filled.ids["signal_id"], play.one.filled.ids["other_id"], *play.one.signals,
        }  # fmt: skip


@pytest.fixture
async def ours_and_theirs(pool: Pool, shared_database: Database) -> tuple[Filled, Filled]:
    """Two tenants with one of everything, one of them also with a person who is signed in."""
    ours = await filled_tenant(pool, shared_database)
    theirs = await filled_tenant(pool, shared_database)
    email = await make_user(pool, theirs.scope)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into sessions (token_hash, user_id, tenant_id, csrf_token, expires_at)"
            " select sha256(email::bytea), id, %s, 'x', now() + interval '1 hour'"
            " from users where email = %s",
            [theirs.scope.tenant_id, email],
        )
    return ours, theirs


async def test_by_direct_sql_the_application_reaches_no_row_of_another_tenant(
    ours_and_theirs: tuple[Filled, Filled], shared_database: Database
) -> None:
    ours, theirs = ours_and_theirs
    settle_sums(shared_database)
    insert_signal(shared_database.worker, theirs.scope)
    reached, empty = [], []
    with (
        psycopg.connect(shared_database.admin) as admin,
        psycopg.connect(shared_database.app, autocommit=True) as app,
    ):
        for table in tables_with_a_tenant(admin):
            row = _row_of(admin, table, theirs.scope)
            if row is None:
                empty.append(table)
                continue
            for name, attempt in _attempts(admin, table, theirs.scope, row).items():
                for who in (str(ours.scope.tenant_id), ""):
                    app.execute("select set_config('app.tenant_id', %s, false)", [who])
                    if not attempt(app):
                        reached.append(f"{table}: {name} as {who or 'nobody'}")
    assert reached == []
    assert set(empty) <= NOT_FILLED


NOT_FILLED: Final = {
    "predicate_numbers", "rule_stats_minutes", "signal_history", "trace_budgets",
    "stats_minutes", "usage_days", "trace_tasks", "backtest_handed", "retention_ledger",
    "deletion_proofs", "evidence_inbox", *PASSING,
}  # fmt: skip
"""Tables that only the worker fills, or the end of a tenant: other tests look at them."""


def _row_of(admin: psycopg.Connection, table: str, scope: TenantScope) -> Any:
    query = sql.SQL("select to_jsonb(t) from {} t where tenant_id = %s limit 1")
    found = admin.execute(query.format(sql.Identifier(table)), [scope.tenant_id]).fetchone()
    return found[0] if found else None


def _attempts(
    admin: psycopg.Connection, table: str, scope: TenantScope, row: Any
) -> dict[str, Callable[[psycopg.Connection], bool]]:
    """Return attempts on a foreign row by name; each tells whether it was in vain."""
    updatable = admin.execute(
        "select column_name from information_schema.column_privileges where grantee ="
        " 'betrace_app' and privilege_type = 'UPDATE' and table_name = %s limit 1",
        [table],
    ).fetchone()
    column = updatable[0] if updatable else "tenant_id"
    written = admin.execute(
        "select column_name from information_schema.columns where table_schema = 'public'"
        " and table_name = %s and is_generated = 'NEVER'",
        [table],
    )
    columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in written)
    texts = {
        "select": "select 1 from {table} where tenant_id = %(tenant)s",
        "update": "update {table} set {column} = {column} where tenant_id = %(tenant)s",
        "delete": "delete from {table} where tenant_id = %(tenant)s",
        "insert": "insert into {table} ({columns}) overriding system value"
        " select {columns} from jsonb_populate_record(null::{table}, %(row)s)",
    }

    def attempt(text: str) -> Callable[[psycopg.Connection], bool]:
        statement = sql.SQL(text).format(
            table=sql.Identifier(table), column=sql.Identifier(column), columns=columns
        )
        values = {"tenant": scope.tenant_id, "row": json.dumps(row)}

        def in_vain(connection: psycopg.Connection) -> bool:
            try:
                return connection.execute(statement, values).rowcount == 0
            except psycopg.errors.InsufficientPrivilege:
                return True
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                return "cannot" in str(error) and "view" in str(error)

        return in_vain

    return {name: attempt(text) for name, text in texts.items()}


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize("change", ["update {} set tenant_id = tenant_id", "delete from {}"])
@pytest.mark.parametrize(
    "table", ["audit_log", "rule_versions", "predicate_numbers", "signal_history"]
)
async def test_what_is_immutable_is_so_for_both_roles_and_its_own_tenant(
    table: str,
    change: str,
    role: str,
    ours_and_theirs: tuple[Filled, Filled],
    shared_database: Database,
) -> None:
    ours, _ = ours_and_theirs
    dsn = shared_database.app if role == "app" else shared_database.worker
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "select set_config('app.tenant_id', %s, false)", [str(ours.scope.tenant_id)]
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change.format(table).encode())
