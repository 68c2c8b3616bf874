"""Keys of tenants in Postgres: what nobody may do, what is on the audit log, age and deletion."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from api.auth.principal import TenantScope
from api.command.app import app as betrace
from api.database import Pool, open_pool
from api.keyring.rotation import rotate_due
from api.keyring.shelf import PostgresShelf
from api.keyring.wiring import Keys
from api.rules.outbox import Publisher
from api.services import run_services
from api.settings import Settings
from api.tenants.deletion import ask_for_deletion
from api.tenants.purge import NotNow, begin_purge, list_proofs, purge_tenant
from api.tenants.service import read_tenant
from tests.support.keys import MASTER, insert_key, local_keys
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import PEPPER, make_tenant
from udfs.keysource.care import KeyCare
from udfs.keysource.keys import Form, KeyDraft, KeyState, Purpose, Sealed
from udfs.keysource.local import LocalKeys
from udfs.keysource.masters import read_masters
from udfs.keysource.ring import KeyRing
from udfs.keysource.sources import Sources
from udfs.keysource.trouble import KeysUnavailable, UnknownKey

BY = "operator:test"


@pytest.fixture
def keys(pool: Pool) -> Keys:
    return local_keys(pool)


class Watched(LocalKeys):
    """A local source that notes whom it forgot, and can be away."""

    def __init__(self) -> None:
        super().__init__(read_masters(MASTER, where="the test"))
        self.forgotten: list[UUID] = []
        self.away = False

    def forget(self, tenant: UUID) -> None:
        if self.away:
            raise KeysUnavailable("the test says so", where="the test", next_step="Try again.")
        self.forgotten.append(tenant)


def keys_with(source: LocalKeys, pool: Pool) -> Keys:
    sources, shelf = Sources([source]), PostgresShelf(pool)
    ring = KeyRing(sources, shelf)
    return Keys(ring, KeyCare(sources, shelf, ring), source)


def owner_runs(database: Database, statement: str, *parameters: object) -> list[Any]:
    with psycopg.connect(database.admin) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


async def ask_now(pool: Pool, scope: TenantScope) -> None:
    name = (await read_tenant(pool, scope)).name
    await ask_for_deletion(pool, scope, typed=name, grace=timedelta(0))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("purpose = 'data', public_key = null", "what a key is does not change"),
        ("public_key = sha256('other')", "what a key is does not change"),
        ("created_by = 'mallory'", "what a key is does not change"),
        ("revoked_reason = 'another'", "a revocation is not taken back"),
        ("untrusted_from = untrusted_from + interval '1 second'", "a revocation is not taken back"),
        (
            "revoked_at = null, revoked_by = null, revoked_reason = null, untrusted_from = null",
            "a revocation is not taken back",
        ),
    ],
)
async def test_not_even_the_owner_rewrites_a_key(
    change: str, problem: str, keys: Keys, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    key = (await keys.ring.signer(scope.tenant_id)).record
    since = datetime.now(UTC) - timedelta(days=1)
    await keys.care.revoke(scope.tenant_id, key.id, reason="a laptop", by=BY, untrusted_from=since)
    with pytest.raises(psycopg.errors.RestrictViolation, match=problem):
        owner_runs(shared_database, f"update tenant_keys set {change} where id = %s", key.id)


async def test_what_is_destroyed_cannot_be_put_back(
    keys: Keys, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    await keys.ring.signer(scope.tenant_id)
    await keys.care.shred(scope.tenant_id, by=BY)
    put_back = (
        "update tenant_keys set provider = 'local', master = 'm', form = 'wrapped', sealed = 'x',"
        " destroyed_at = null where tenant_id = %s"
    )
    with pytest.raises(psycopg.errors.RestrictViolation, match="stays so"):
        owner_runs(shared_database, put_back, scope.tenant_id)


async def test_private_parts_are_in_the_database_only_wrapped(
    keys: Keys, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    opened = await keys.ring.current(scope.tenant_id, Purpose.DATA)
    rows = owner_runs(
        shared_database, "select t::text from tenant_keys t where tenant_id = %s", scope.tenant_id
    )
    assert len(rows) == 1
    assert opened.secret.hex() not in rows[0][0]


async def test_the_worker_makes_keys_and_marks_none(
    pool: Pool, keys: Keys, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    async with open_pool(shared_database.worker, size=2) as workers_pool:
        worker = local_keys(workers_pool)
        made = await worker.ring.signer(scope.tenant_id)
        assert (await keys.ring.signer(scope.tenant_id)).record.id == made.record.id
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await worker.care.revoke(scope.tenant_id, made.record.id, reason="x", by=BY)


async def test_what_becomes_of_keys_is_on_the_audit_log(
    keys: Keys, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    first = (await keys.ring.current(scope.tenant_id, Purpose.DATA)).record
    second = await keys.care.rotate(scope.tenant_id, Purpose.DATA, by=BY)
    await keys.care.revoke(scope.tenant_id, first.id, reason="a laptop of Ada's", by=BY)
    await keys.care.destroy(scope.tenant_id, first.id, by=BY)
    found = owner_runs(
        shared_database,
        "select actor, action, target, details::text from audit_log"
        " where tenant_id = %s and action like 'tenant_key.%%' order by xact, seq",
        scope.tenant_id,
    )
    assert [(actor, action, target) for actor, action, target, _ in found] == [
        ("betrace", "tenant_key.created", f"tenant_key:{first.id}"),
        (BY, "tenant_key.created", f"tenant_key:{second.id}"),
        (BY, "tenant_key.revoked", f"tenant_key:{first.id}"),
        (BY, "tenant_key.destroyed", f"tenant_key:{first.id}"),
    ]
    assert "Ada" not in str(found)


async def test_no_key_is_made_for_a_tenant_that_is_not_there(keys: Keys) -> None:
    with pytest.raises(UnknownKey):
        await keys.ring.current(uuid4(), Purpose.DATA)


async def test_an_outage_of_postgres_is_one_that_passes() -> None:
    async with open_pool("host=127.0.0.1 port=1 connect_timeout=1", size=1) as pool:
        with pytest.raises(KeysUnavailable):
            await local_keys(pool).ring.current(uuid4(), Purpose.DATA)


async def test_old_keys_are_rotated_once_by_whoever_sees_it(pool: Pool) -> None:
    scope = await make_tenant(pool)
    processes = [local_keys(pool) for _ in range(2)]
    await processes[0].ring.current(scope.tenant_id, Purpose.DATA)
    hashing = await processes[0].ring.current(scope.tenant_id, Purpose.REDACTION)
    in_89_days, in_91_days = (datetime.now(UTC) + timedelta(days=n) for n in (89, 91))
    ninety = timedelta(days=90)
    await rotate_due(pool, processes[0], older_than=ninety, now=in_89_days)
    read_by_both, untouched = await processes[0].care.all_of(scope.tenant_id)
    assert await rotate_due(pool, processes[0], older_than=ninety, now=in_91_days) >= 1
    late = await processes[1].care.rotate_after(read_by_both, by="betrace")
    records = await processes[0].care.all_of(scope.tenant_id)
    assert [(r.purpose, r.state) for r in records] == [
        (Purpose.DATA, KeyState.RETIRED),
        (Purpose.DATA, KeyState.ACTIVE),
        (Purpose.REDACTION, KeyState.ACTIVE),
    ]
    assert late.id == records[1].id
    assert records[2] == untouched == hashing.record


async def test_one_tenant_that_cannot_be_rotated_stops_no_other(
    pool: Pool, shared_database: Database
) -> None:
    class Broken(LocalKeys):
        def generate(self, binding: Any) -> Any:
            if binding.tenant == broken.tenant_id:
                raise KeysUnavailable("the test says so", where="x", next_step="Try again.")
            return super().generate(binding)

    broken, whole = await make_tenant(pool), await make_tenant(pool)
    for scope in (broken, whole):
        await local_keys(pool).ring.current(scope.tenant_id, Purpose.DATA)
    keys = keys_with(Broken(read_masters(MASTER, where="the test")), pool)
    later = datetime.now(UTC) + timedelta(days=91)
    await rotate_due(pool, keys, older_than=timedelta(days=90), now=later)
    generations = [
        (await keys.care.all_of(scope.tenant_id))[-1].generation for scope in (broken, whole)
    ]
    assert generations == [1, 2]


async def test_the_keys_of_a_tenant_go_first_with_it(pool: Pool, shared_database: Database) -> None:
    scope, neighbour = await make_tenant(pool), await make_tenant(pool)
    source = Watched()
    keys = keys_with(source, pool)
    await keys.ring.current(scope.tenant_id, Purpose.DATA)
    theirs = await keys.ring.current(neighbour.tenant_id, Purpose.DATA)
    await ask_now(pool, scope)
    source.away = True
    publisher = Publisher(pool, MemoryRulesLog())
    with pytest.raises(NotNow, match="keys cannot be destroyed"):
        await purge_tenant(pool, publisher, scope.tenant_id, keys=keys)
    assert (await read_tenant(pool, scope)).id == scope.tenant_id
    source.away = False
    await purge_tenant(pool, publisher, scope.tenant_id, keys=keys)
    assert source.forgotten == [scope.tenant_id]
    (proof,) = await list_proofs(pool, tenant_id=scope.tenant_id)
    assert proof.deleted["tenant_keys"] == 1
    again = await local_keys(pool).ring.current(neighbour.tenant_id, Purpose.DATA)
    assert again.secret == theirs.secret


async def test_keys_that_nobody_can_destroy_stop_the_deletion(
    pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    insert_key(shared_database.app, scope)
    await ask_now(pool, scope)
    with pytest.raises(NotNow, match="BETRACE_KEYS_PROVIDER"):
        await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)


async def test_from_the_beginning_of_the_deletion_no_key_is_made(pool: Pool, keys: Keys) -> None:
    scope = await make_tenant(pool)
    await ask_now(pool, scope)
    await keys.ring.current(scope.tenant_id, Purpose.DATA)
    await begin_purge(pool, scope)
    draft = KeyDraft(
        id=uuid4(),
        tenant=scope.tenant_id,
        purpose=Purpose.DATA,
        generation=2,
        sealed=Sealed("local", "m", Form.WRAPPED, b"x"),
        public_key=None,
        created_by="betrace",
    )
    with pytest.raises(UnknownKey, match="being deleted"):
        await PostgresShelf(pool).add(draft)


async def test_the_api_has_keys_where_a_provider_is_set_and_tells_their_figures(
    pool: Pool, settings: Settings
) -> None:
    scope = await make_tenant(pool)
    chosen = settings.model_copy(
        update={"keys_provider": "local", "keys_master": SecretStr(MASTER)}
    )
    async with run_services(chosen, rules_log=MemoryRulesLog()) as services:
        assert services.keys is not None
        await services.keys.ring.current(scope.tenant_id, Purpose.DATA)
        asked = services.registry.get_sample_value(
            "betrace_keys_asked_total", {"of": "secrets", "outcome": "misses"}
        )
        assert asked == 1
    async with run_services(settings, rules_log=MemoryRulesLog()) as services:
        assert services.keys is None


@dataclass(slots=True)
class Terminal:
    """`betrace keyring` as an operator uses it."""

    environment: dict[str, str]
    runner: CliRunner = field(default_factory=CliRunner)

    def run(self, *arguments: str) -> Result:
        return self.runner.invoke(betrace, ["keyring", *arguments], env=self.environment)

    def told(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def terminal(shared_database: Database) -> Terminal:
    return Terminal(
        {
            "DATABASE_URL": shared_database.app,
            "BETRACE_SECRET_KEY": PEPPER.decode(),
            "BETRACE_KEYS_PROVIDER": "local",
            "BETRACE_KEYS_MASTER": MASTER,
        }
    )


@pytest.fixture
def made_scope(shared_database: Database) -> Callable[[], str]:
    def make() -> str:
        tenant_id = uuid4()
        owner_runs(
            shared_database,
            "insert into tenants (id, name, settings) values (%s, %s, '{}')",
            tenant_id,
            f"tenant-{tenant_id}",
        )
        return str(tenant_id)

    return make


def test_an_operator_rotates_revokes_and_destroys(
    terminal: Terminal, made_scope: Callable[[], str]
) -> None:
    tenant, other = made_scope(), made_scope()
    first = terminal.told("rotate", "signing", "--tenant", tenant)
    second = terminal.told("rotate", "signing", "--tenant", tenant)
    revoked = terminal.told(
        "revoke", first["id"], "--tenant", tenant, "--reason", "a laptop", "--since", "2026-11-20"
    )
    destroyed = terminal.told("destroy", first["id"], "--tenant", tenant)
    listed = terminal.told("list", "--tenant", tenant)["keys"]
    assert revoked["untrusted_from"] == "2026-11-20T00:00:00+00:00"
    assert [(key["id"], key["state"]) for key in listed] == [
        (first["id"], "destroyed"),
        (second["id"], "active"),
    ]
    assert destroyed["public_key"] == first["public_key"]
    assert terminal.told("list", "--tenant", other) == {"keys": []}


def test_what_an_operator_may_not_is_one_line(
    terminal: Terminal, made_scope: Callable[[], str]
) -> None:
    tenant, other = made_scope(), made_scope()
    key = terminal.told("rotate", "data", "--tenant", tenant)
    for arguments, said in (
        (["destroy", key["id"], "--tenant", tenant], "in use"),
        (["revoke", key["id"], "--tenant", other, "--reason", "x"], "no such key"),
        (["revoke", key["id"], "--tenant", tenant, "--reason", ""], "--reason"),
    ):
        result = terminal.run(*arguments)
        assert result.exit_code != 0
        assert said in str(result.exception)


def test_without_a_provider_it_says_what_to_set(terminal: Terminal) -> None:
    del terminal.environment["BETRACE_KEYS_PROVIDER"]
    result = terminal.run("check")
    assert "BETRACE_KEYS_PROVIDER is not set" in str(result.exception)


def test_the_provider_is_asked_whether_it_answers(terminal: Terminal) -> None:
    assert terminal.run("check").stdout == "local answers\n"
