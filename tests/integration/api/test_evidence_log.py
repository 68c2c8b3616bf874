"""The evidence log in Postgres: sealed once and in order, never changed, signed, and exported."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.auth.principal import TenantScope
from api.database import Pool, open_pool
from api.evidence.acts import offer_acts
from api.evidence.coverage import CoverageFeeder
from api.evidence.erasing import erase_payload
from api.evidence.model import Offer
from api.evidence.packing import Asked, PackMaker
from api.evidence.reading import find_record, prove_consistency, prove_record, read_state
from api.evidence.verification import Badge, verify_records
from api.problems import ApiError
from tests.support.evidence import (
    BEGIN_MS,
    CONTROL,
    MINUTE_MS,
    RULE,
    EvidenceLog,
    span,
    verdict,
)
from tests.support.evidence_opened import Opened
from tests.support.evidence_verifiers import codes
from tests.support.postgres import Database
from tests.support.sealing import (
    Sealing,
    add_rule,
    add_tenant,
    assert_sound,
    keys_of,
    sealing,
    stored_log,
)
from tests.support.tenants import scope_of
from udfs.evidence import verify
from udfs.evidence.pack import Disclosure
from udfs.evidence.proof_checks import consistency_holds, inclusion_holds
from udfs.evidence.record_codec import encode_record
from udfs.evidence.records import Act, Coverage, KeyChange, KeyEvent, Kind, Outcome
from udfs.evidence.tree import leaf_hash
from udfs.keysource.keys import Purpose

HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
async def world(shared_database: Database, scope: TenantScope) -> AsyncIterator[Sealing]:
    """A sequencer for a new tenant with a rule."""
    add_rule(shared_database, scope.tenant_id)
    async with sealing(shared_database, scope) as opened:
        yield opened


def a_verdict(tenant: UUID, number: int) -> Offer:
    """Return an offer that is like no other."""
    return Offer(
        tenant=tenant,
        id=f"signal-{number}",
        time_ms=BEGIN_MS + number,
        controls=(CONTROL, "hipaa.164.312(b)"),
        body=verdict(number),
    )


@pytest.fixture
async def small(shared_database: Database, scope: TenantScope) -> AsyncIterator[Sealing]:
    """The same, with batches of 7."""
    add_rule(shared_database, scope.tenant_id)
    async with sealing(shared_database, scope, batch=7) as opened:
        yield opened


@pytest.fixture
async def alone(database: Database) -> AsyncIterator[Sealing]:
    """The same in a database of its own: whole rounds of a sequencer are about all tenants."""
    scope = scope_of(uuid4())
    add_tenant(database, scope.tenant_id)
    async with sealing(database, scope) as opened:
        yield opened


async def a_sealed_log(world: Sealing, count: int = 40) -> None:
    await world.begin()
    await world.offer(*(a_verdict(world.tenant, number) for number in range(count)))
    await world.seal()
    await world.sign()


def owner_runs(database: Database, statement: str, *values: object) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute(statement.encode(), values)


# sealing


async def test_what_is_offered_is_sealed_in_order_and_once(
    small: Sealing, shared_database: Database
) -> None:
    world = small
    await world.begin()
    offers = [a_verdict(world.tenant, number) for number in range(20)]
    await world.offer(*offers[:12], offers[3])
    await world.offer(*offers[5:])
    await world.seal()
    await world.offer(*offers)
    await world.seal()
    await world.sign()
    read = stored_log(shared_database, world.tenant, like=EvidenceLog())
    assert_sound(read)
    assert [record.id for record in read.records[1:]] == [one.id for one in offers]
    assert read.records[1].controls == ("hipaa.164.312(b)", "soc2.CC7.2")
    assert (world.counted("records_total"), read.heads[-1].size) == (20, 21)
    with psycopg.connect(shared_database.admin) as connection:
        [waiting] = connection.execute(
            "select count(*) from evidence_inbox where tenant_id = %s", [world.tenant]
        ).fetchall()
        sums = connection.execute(
            "select control, record_count, last_seq from evidence_totals where tenant_id = %s"
            " order by control",
            [world.tenant],
        ).fetchall()
        columns = connection.execute(
            "select leaf, line, outcome, rule_id, rule_version, trace_id from evidence_records"
            " where tenant_id = %s and seq = 7",
            [world.tenant],
        ).fetchone()
    assert waiting == (0,)
    assert sums == [("hipaa.164.312(b)", 20, 20), ("soc2.CC7.2", 20, 20)]
    line = encode_record(read.records[7])
    trace_id = bytes.fromhex(verdict(6).trace_id)
    assert columns == (leaf_hash(line), line, "violated", RULE.id, RULE.version, trace_id)


async def test_of_several_sealers_at_once_one_has_the_turn(
    world: Sealing, shared_database: Database
) -> None:
    await world.begin()
    await world.offer(*(a_verdict(world.tenant, number) for number in range(5)))
    with psycopg.connect(shared_database.worker) as other:
        other.execute("select pg_advisory_xact_lock(hashtext('evidence'), hashtext(%s))",
                      [str(world.tenant)])  # fmt: skip
        assert await world.sequencer.seal(world.tenant) is None
    await world.seal()
    assert (await read_state(world.pool, world.scope)).size == 6


async def test_an_offer_for_a_tenant_that_is_gone_is_passed_over(world: Sealing) -> None:
    gone = UUID("00000000-0000-4000-8000-000000000000")
    await world.offer(a_verdict(gone, 1), a_verdict(world.tenant, 2))
    await world.begin()
    await world.seal()
    assert (await read_state(world.pool, world.scope)).size == 2


# the database


@pytest.mark.parametrize("role", ["admin", "worker", "app"])
@pytest.mark.parametrize(
    "change",
    [
        "update evidence_records set line = 'x'",
        "update evidence_records set time_ms = 0",
        "delete from evidence_records",
        "truncate evidence_records",
        "update evidence_nodes set hash = sha256('x')",
        "delete from evidence_nodes",
        "update evidence_checkpoints set note = 'x'",
        "delete from evidence_checkpoints",
        "truncate evidence_checkpoints",
        "update evidence_controls set control = 'x'",
        "delete from evidence_coverage",
        "update evidence_logs set size = 0",
        "update evidence_logs set origin = 'x/log/y'",
        "delete from evidence_logs",
        "update evidence_payloads set payload = 'x'",
        "delete from evidence_payloads",
    ],
)
async def test_nobody_changes_what_was_sealed(
    change: str, role: str, filled_log: Sealing, shared_database: Database
) -> None:
    with psycopg.connect(getattr(shared_database, role)) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(filled_log.tenant)])
        with pytest.raises(
            (psycopg.errors.RestrictViolation, psycopg.errors.InsufficientPrivilege)
        ):
            connection.execute(change.encode())


@pytest.fixture(scope="module")
def _filled() -> dict[str, Sealing]:
    return {}


@pytest.fixture
async def filled_log(
    _filled: dict[str, Sealing], world: Sealing, shared_database: Database
) -> Sealing:
    """A log with something in every table; one for all tests that only try to change it."""
    if not _filled:
        body = Coverage(RULE, BEGIN_MS, BEGIN_MS + 1, 1, 1, 0, 0, 0, 0, begins=True)
        await world.offer(
            Offer(tenant=world.tenant, id="c", time_ms=BEGIN_MS, controls=(CONTROL,), body=body),
            Offer(
                tenant=world.tenant, id="s", time_ms=BEGIN_MS, body=span(1), personal={"who": "me"}
            ),
        )
        await a_sealed_log(world)
        _filled["it"] = world
    return _filled["it"]


_RECORD = (
    "insert into evidence_records (tenant_id, seq, kind, id, time_ms, sealed_ms, controls, outcome,"
    " policy, has_payload, leaf, line)"
    " select %s, seq, 'act', 'forged-' || seq, 0, 0, '{}', 'success', 0, false, 'x', 'x'"
    " from unnest(%s::bigint[]) as seq"
)


@pytest.mark.parametrize("seqs", [[42], [41, 43], [40], [0], [-1]])
async def test_a_gap_or_a_second_record_in_a_place_is_refused(
    seqs: list[int], world: Sealing, shared_database: Database
) -> None:
    await a_sealed_log(world)
    with (
        pytest.raises((psycopg.errors.RestrictViolation, psycopg.errors.UniqueViolation)),
        psycopg.connect(shared_database.admin) as connection,
    ):
        connection.execute(_RECORD.encode(), [world.tenant, seqs])


@pytest.mark.parametrize(
    "head",
    [
        "number + 2, size, root, time_ms + 1",
        "number + 1, size, sha256('x'), time_ms + 1",
        "number + 1, size - 1, root, time_ms + 1",
        "number + 1, size + 1, root, time_ms + 1",
        "number + 1, size, root, time_ms",
        "number, size, root, time_ms + 1",
    ],
    ids=["gap", "fork", "smaller", "larger", "as old", "twice"],
)
async def test_a_checkpoint_that_does_not_follow_is_refused(
    head: str, world: Sealing, shared_database: Database
) -> None:
    await a_sealed_log(world)
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_runs(
            shared_database,
            "insert into evidence_checkpoints (tenant_id, number, size, root, time_ms, key_id,"
            f" note) select tenant_id, {head}, key_id, note from evidence_checkpoints"
            " where tenant_id = %s",
            world.tenant,
        )


# keys


async def test_a_rotation_is_in_the_log_before_the_new_key_signs(
    world: Sealing, pool: Pool, shared_database: Database
) -> None:
    await a_sealed_log(world)
    [first] = (await read_state(pool, world.scope)).verifier_keys
    await world.keys.care.rotate(world.tenant, Purpose.SIGNING, by="test")
    world.now_ms += MINUTE_MS
    await world.sign()
    state = await read_state(pool, world.scope)
    assert (state.size, state.pending, len(state.verifier_keys)) == (42, 0, 2)
    for pinned in (first, state.verifier_keys[1]):
        result = verified(await a_pack(pool, world, shared_database), pinned)
        assert result["valid"], result["failures"]


async def test_after_a_revocation_what_was_signed_since_does_not_count(
    world: Sealing, pool: Pool, shared_database: Database
) -> None:
    await a_sealed_log(world)
    [stolen] = await world.keys.care.all_of(world.tenant)
    since = datetime.fromtimestamp((BEGIN_MS + 30_000) / 1000, UTC)
    world.now_ms += MINUTE_MS
    await world.offer(a_verdict(world.tenant, 900))
    await world.seal()
    await world.sign()
    await keys_of(world.source, pool).care.revoke(
        world.tenant, stolen.id, reason="it was stolen", by="test", untrusted_from=since
    )
    world.now_ms += MINUTE_MS
    await world.sign()
    read = stored_log(shared_database, world.tenant, like=EvidenceLog())
    changes = [one.body for one in read.records if isinstance(one.body, KeyChange)]
    assert [(one.event, one.since_size) for one in changes] == [
        (KeyEvent.CREATED, 0),
        (KeyEvent.REVOKED, 41),
        (KeyEvent.ROTATED, 0),
    ]
    old, new = (await read_state(pool, world.scope)).verifier_keys
    pack = await a_pack(pool, world, shared_database)
    assert codes(verified(pack, old)["failures"]) == ["key_untrusted", "manifest_forged"]
    result = verified(pack, new)
    assert (result["valid"], result["checkpoints"]) == (True, 2), result["failures"]


async def test_a_key_that_was_destroyed_at_once_is_followed_all_the_same(
    world: Sealing, pool: Pool, shared_database: Database
) -> None:
    await a_sealed_log(world)
    [gone] = await world.keys.care.all_of(world.tenant)
    await world.keys.care.rotate(world.tenant, Purpose.SIGNING, by="test")
    await keys_of(world.source, pool).care.destroy(world.tenant, gone.id, by="test")
    world.now_ms += MINUTE_MS
    await world.sign()
    _, new = (await read_state(pool, world.scope)).verifier_keys
    result = verified(await a_pack(pool, world, shared_database), new)
    assert result["valid"], result["failures"]


async def test_while_keys_are_away_records_are_sealed_and_pending_and_signed_later(
    alone: Sealing,
) -> None:
    world = alone
    await a_sealed_log(world)
    world.source.away = True
    for minute in range(1, 4):
        world.now_ms += MINUTE_MS
        await world.offer(a_verdict(world.tenant, 1_000 + minute))
        await world.sequencer.round()
    state = await read_state(world.pool, world.scope)
    assert (state.size, state.pending, state.checkpoints) == (44, 3, 1)
    assert state.outage is not None
    assert (state.outage.began_ms, state.outage.attempts) == (BEGIN_MS + MINUTE_MS, 3)
    assert (await prove_record(world.pool, world.scope, 43)).checkpoint is None
    assert world.counted("unsigned_total") == 3
    world.source.away = False
    world.now_ms += MINUTE_MS
    await world.sequencer.round()
    state = await read_state(world.pool, world.scope)
    assert (state.pending, state.checkpoints, state.late, state.outage) == (0, 2, 1, None)
    assert state.newest is not None
    assert state.newest.late_ms == 3 * MINUTE_MS
    assert world.counted("checkpoints_late_total") == 1


async def test_a_key_that_is_revoked_while_no_other_can_be_had_takes_its_heads_along(
    alone: Sealing, database: Database
) -> None:
    world = alone
    await a_sealed_log(world)
    [stolen] = await world.keys.care.all_of(world.tenant)

    async def minute(number: int) -> None:
        world.now_ms += MINUTE_MS
        await world.offer(a_verdict(world.tenant, 1_000 + number))
        await world.sequencer.round()

    await minute(1)
    world.source.away = True
    async with open_pool(database.app) as pool:
        since = datetime.fromtimestamp((BEGIN_MS + 30_000) / 1000, UTC)
        await keys_of(world.source, pool).care.revoke(
            world.tenant, stolen.id, reason="it was stolen", by="test", untrusted_from=since
        )
        await minute(2)
        await minute(3)
        state = await read_state(pool, world.scope)
        assert state.newest is not None
        assert (state.size, state.newest.size, state.pending) == (45, 41, 4)
        assert state.outage is not None
        assert (state.outage.from_size, state.outage.attempts) == (41, 2)
        assert world.counted("pending_records") == 4
        heads = {seq: (await prove_record(pool, world.scope, seq)).checkpoint for seq in (40, 41)}
        assert heads == {40: state.newest, 41: None}
        sealed = [await find_record(pool, world.scope, seq) for seq in (40, 41, 44)]
        looked_at = (await verify_records(pool, world.scope, sealed)).by_seq
        assert [looked_at[seq].badge for seq in (40, 41, 44)] == [
            *(Badge.VALID, Badge.UNSIGNED, Badge.UNSIGNED),
        ]
        world.source.away = False
        await minute(4)
        state = await read_state(pool, world.scope)
        assert (state.size, state.pending, state.outage) == (47, 0, None)
        [outage] = state.outages
        assert (outage.from_size, outage.to_size) == (41, 47)
        assert world.counted("records_signed_late_total") == 6
        result = verified(await a_pack(pool, world, database), state.verifier_keys[-1])
    assert (result["valid"], result["checkpoints"]) == (True, 2), result["failures"]


async def test_without_its_first_key_a_log_does_not_begin_and_nothing_is_lost(
    alone: Sealing,
) -> None:
    world = alone
    world.source.away = True
    await world.offer(a_verdict(world.tenant, 1))
    await world.sequencer.round()
    state = await read_state(world.pool, world.scope)
    assert (state.origin, state.size, state.waiting) == (None, 0, 1)
    world.source.away = False
    await world.sequencer.round()
    assert (await read_state(world.pool, world.scope)).size == 2


async def test_an_idle_log_is_signed_again_after_a_while(alone: Sealing) -> None:
    world = alone
    await a_sealed_log(world)
    for _ in range(59):
        world.now_ms += MINUTE_MS
        await world.sequencer.round()
    assert (await read_state(world.pool, world.scope)).checkpoints == 1
    world.now_ms += MINUTE_MS
    await world.sequencer.round()
    state = await read_state(world.pool, world.scope)
    assert (state.checkpoints, state.size) == (2, 41)


# proofs


async def test_proofs_lead_to_the_roots_that_were_signed(
    world: Sealing, pool: Pool, shared_database: Database
) -> None:
    await world.begin()
    for part in range(4):
        numbers = range(part * 37, part * 37 + 37)
        await world.offer(*(a_verdict(world.tenant, number) for number in numbers))
        await world.seal()
        world.now_ms += MINUTE_MS
        await world.sign()
    read = stored_log(shared_database, world.tenant, like=EvidenceLog())
    for seq in (0, 1, 15, 16, 37, 38, 100, 147, 148):
        proven = await prove_record(pool, world.scope, seq)
        assert proven.checkpoint is not None
        assert inclusion_holds(
            proven.proof,
            index=seq,
            size=proven.checkpoint.size,
            leaf=leaf_hash(proven.record.line),
            root=proven.checkpoint.root,
        )
    for old, new in zip(read.heads, read.heads[1:], strict=False):
        proof = await prove_consistency(pool, world.scope, old=old.size, size=new.size)
        assert consistency_holds(
            proof, old=old.size, old_root=old.root, size=new.size, root=new.root
        )
    with pytest.raises(ApiError) as refused:
        await prove_consistency(pool, world.scope, old=5, size=1_000)
    assert refused.value.code == "evidence.sizes"


# erasing


async def test_an_erased_payload_leaves_every_proof(
    world: Sealing, pool: Pool, shared_database: Database
) -> None:
    personal = {"user": "ada@example.com"}
    offered = Offer(
        tenant=world.tenant, id="s", time_ms=BEGIN_MS, controls=(CONTROL,), body=span(1),
        personal=personal,
    )  # fmt: skip
    await world.begin()
    await world.offer(offered)
    await world.seal()
    await world.sign()
    before = await a_pack(pool, world, shared_database)
    assert b"ada@example.com" in Opened.of(EvidenceLog(), before).files["payloads.jsonl"]
    await erase_payload(pool, world.scope, 1)
    with pytest.raises(ApiError) as refused:
        await erase_payload(pool, world.scope, 1)
    assert refused.value.code == "evidence.erased"
    await offer_acts(world.pool, world.now_ms)
    await world.seal()
    world.now_ms = int(datetime.now(UTC).timestamp() * 1000)
    await world.sign()
    after = Opened.of(EvidenceLog(), await a_pack(pool, world, shared_database))
    [absent] = after.lines("absent.jsonl")
    act = next(line for line in after.lines() if line["seq"] == absent["by"])
    assert (act["body"]["action"], act["body"]["target"]) == ("evidence.payload_erased", "record:1")
    assert after.files["payloads.jsonl"] == b""
    [key] = (await read_state(pool, world.scope)).verifier_keys
    assert verified(before, key)["valid"]
    assert verified(await a_pack(pool, world, shared_database), key)["valid"]
    with psycopg.connect(shared_database.admin) as connection:
        dumped = connection.execute(
            "select p::text from evidence_payloads p where tenant_id = %s", [world.tenant]
        ).fetchall()
    assert b"ada@example.com".hex() not in str(dumped)
    assert "ada@example.com" not in str(dumped)


# feeders


async def test_acts_of_the_audit_log_are_sealed_once_in_their_order(
    alone: Sealing, database: Database
) -> None:
    world = alone
    await world.begin()
    for _ in range(3):
        await offer_acts(world.pool, world.now_ms)
        await world.seal()
    read = stored_log(database, world.tenant, like=EvidenceLog())
    acts = [one for one in read.records if isinstance(one.body, Act)]
    with psycopg.connect(database.admin) as connection:
        logged = connection.execute(
            "select id::text, action from audit_log where tenant_id = %s order by xact, seq",
            [world.tenant],
        ).fetchall()
    assert [(one.id, one.body.action) for one in acts] == logged
    assert "tenant_key.created" in {action for _, action in logged}


async def test_runs_of_cases_are_evidence_of_change_management(
    alone: Sealing, database: Database
) -> None:
    world = alone
    await world.begin()
    insert = (
        "insert into audit_log (id, tenant_id, at, until_at, actor, action, target, outcome)"
        " values (gen_random_uuid(), %s, now(), now(), 'user:1', %s, 'case-run:1:ff', 'allowed')"
    )
    for action in ("rule.cases_passed", "rule.cases_failed", "rule.changed"):
        owner_runs(database, insert, world.tenant, action)
    await offer_acts(world.pool, world.now_ms)
    await world.seal()
    read = stored_log(database, world.tenant, like=EvidenceLog())
    told = {one.body.action: one.controls for one in read.records if isinstance(one.body, Act)}
    assert {action: told[action] for action in told if action.startswith("rule.")} == {
        "rule.cases_passed": ("soc2.CC8.1",),
        "rule.cases_failed": ("soc2.CC8.1",),
        "rule.changed": (),
    }


async def test_an_act_of_a_running_transaction_is_waited_for(
    alone: Sealing, database: Database
) -> None:
    world = alone
    insert = (
        "insert into audit_log (id, tenant_id, at, until_at, actor, action, outcome)"
        " values (gen_random_uuid(), %s, now(), now(), 'user:1', %s, 'refused')"
    )
    await world.begin()
    with psycopg.connect(database.admin) as slow:
        slow.execute(insert, [world.tenant, "slow.done"])
        owner_runs(database, insert, world.tenant, "fast.done")
        await offer_acts(world.pool, world.now_ms)
    await offer_acts(world.pool, world.now_ms)
    await world.seal()
    read = stored_log(database, world.tenant, like=EvidenceLog())
    acts = [one.body for one in read.records if isinstance(one.body, Act)]
    done = [act for act in acts if act.action.endswith(".done")]
    assert [act.action for act in done] == ["slow.done", "fast.done"]
    assert {act.outcome for act in done} == {Outcome.BLOCKED}


async def test_a_log_that_postgres_refuses_to_go_on_with_harms_no_other(
    alone: Sealing, database: Database
) -> None:
    other = uuid4()
    add_tenant(database, other)
    await alone.begin()
    owner_runs(
        database,
        "insert into evidence_nodes (tenant_id, level, number, hash) values (%s, 4, 0, sha256(''))",
        alone.tenant,
    )
    await alone.offer(*(a_verdict(alone.tenant, number) for number in range(20)))
    async with sealing(database, scope_of(other)) as world:
        await world.offer(a_verdict(other, 1))
        await alone.sequencer.round(feeds=False)
    sealed = stored_log(database, other, like=EvidenceLog())
    assert [record.kind for record in sealed.records] == [Kind.KEY, Kind.VERDICT]
    assert len(sealed.heads) == 1
    assert alone.counted("broken_total") == 1


async def test_coverage_accounts_for_every_verdict_once_and_for_nothing(
    alone: Sealing, database: Database
) -> None:
    world = alone
    feed = CoverageFeeder()
    begin_ms = BEGIN_MS // HOUR_MS * HOUR_MS

    def count(minute_ms: int, *, violated: int, revision: int = 1) -> None:
        owner_runs(
            database,
            "insert into rule_stats_minutes (tenant_id, rule_id, rule_version, minute, lane,"
            " revision, violated, satisfied, not_applicable, inconclusive)"
            " values (%s, %s, %s, to_timestamp(%s), 0, %s, %s, 10, 5, 1)"
            " on conflict (tenant_id, rule_id, minute, rule_version, lane)"
            " do update set violated = excluded.violated, revision = excluded.revision",
            *(world.tenant, RULE.id, RULE.version, minute_ms / 1000, revision, violated),
        )

    async def pass_to(hour: int) -> None:
        await feed(world.pool, begin_ms + hour * HOUR_MS + 5 * MINUTE_MS)

    count(begin_ms - HOUR_MS, violated=99)
    count(begin_ms + MINUTE_MS, violated=2)
    await pass_to(1)
    await pass_to(1)
    await pass_to(2)
    count(begin_ms + MINUTE_MS, violated=5, revision=2)
    await pass_to(3)
    owner_runs(database, "update rules set state = 'off' where tenant_id = %s", world.tenant)
    await pass_to(5)
    await pass_to(6)
    owner_runs(database, "update rules set state = 'active' where tenant_id = %s", world.tenant)
    await pass_to(7)
    await world.begin()
    await world.seal()
    read = stored_log(database, world.tenant, like=EvidenceLog())
    found = [one.body for one in read.records if isinstance(one.body, Coverage)]
    assert [
        ((one.from_ms - begin_ms) // HOUR_MS, one.judged, one.violated, one.begins, one.ends)
        for one in found
    ] == [
        (0, 13, 2, True, False),
        (1, 0, 0, False, False),
        (2, 3, 3, False, False),
        (3, 0, 0, False, True),
        (6, 0, 0, True, False),
    ]
    with psycopg.connect(database.admin) as connection:
        [sums] = connection.execute(
            "select count(*), sum(judged), sum(violated) from evidence_coverage"
            " where tenant_id = %s",
            [world.tenant],
        ).fetchall()
    assert sums == (5, 16, 5)


# packs


async def a_pack(
    pool: Pool, world: Sealing, database: Database, asked: Asked | None = None
) -> bytes:
    maker = PackMaker(pool, world.keys, dsn=database.app)
    pack = await maker.make(world.scope, asked or Asked())
    return b"".join([piece async for piece in pack.pieces()])


def verified(pack: bytes, *keys: str) -> dict[str, Any]:
    return verify.verify(io.BytesIO(pack), verify.Asked(list(keys)))


async def test_a_pack_of_some_controls_and_a_period_is_valid(
    world: Sealing, pool: Pool, shared_database: Database
) -> None:
    await world.begin()
    for part in range(30):
        await world.offer(
            Offer(
                tenant=world.tenant,
                id=f"v{part}",
                time_ms=world.now_ms,
                controls=(CONTROL,) if part % 3 else ("gdpr.32",),
                body=verdict(part),
            )
        )
        await world.seal()
        world.now_ms += MINUTE_MS
        await world.sign()
    [key] = (await read_state(pool, world.scope)).verifier_keys
    asked = Asked(
        from_ms=BEGIN_MS + 10 * MINUTE_MS,
        to_ms=BEGIN_MS + 20 * MINUTE_MS,
        frameworks=("gdpr",),
        disclosure=Disclosure.SELECTED,
    )
    pack = await a_pack(pool, world, shared_database, asked)
    result = verified(pack, key)
    assert (result["valid"], codes(result["warnings"])) == (True, ["withheld"]), result["failures"]
    assert result["population"]["by_control"] == {"gdpr.32": 3}
    assert result["range"] == {"first": 5, "end": 21}
    whole = verified(
        await a_pack(pool, world, shared_database, Asked(from_ms=BEGIN_MS, controls=(CONTROL,))),
        key,
    )
    assert (whole["valid"], whole["population"]["by_control"]) == (True, {CONTROL: 20})
    with pytest.raises(ApiError) as refused:
        await a_pack(pool, world, shared_database, Asked(to_ms=world.now_ms + 1))
    assert refused.value.code == "evidence.not_sealed"
