"""Logs in Postgres for tests: sealed by the sequencer, at a time that the test gives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import psycopg
from prometheus_client import CollectorRegistry
from psycopg.types.json import Jsonb

from api.auth.principal import TenantScope
from api.database import Pool, open_pool, tenant_transaction
from api.evidence.checkpointing import PACE, Pace, create_log, sign_head
from api.evidence.erasing import erase_payload
from api.evidence.model import Offer
from api.evidence.offering import offer_async
from api.evidence.sealing import sealer_of
from api.evidence.sequencer import Feeder, SealingMetrics, Sequencer
from api.keyring.shelf import PostgresShelf
from api.keyring.wiring import Keys
from tests.support.evidence import BEGIN_MS, RULE, RULE_TEXT, EvidenceLog, LocalSigner
from tests.support.keys import MASTER
from tests.support.postgres import Database
from udfs.evidence.checkpoints import parse_checkpoint
from udfs.evidence.commitments import Payload
from udfs.evidence.key_history import key_history
from udfs.evidence.keys import VerifierKey, parse_verifier_key
from udfs.evidence.malformed import Malformed
from udfs.evidence.notes import parse_note
from udfs.evidence.pack import AbsentPayload, LogKey, SealedCheckpoint, Why
from udfs.evidence.record_codec import decode_record
from udfs.evidence.records import KeyChange, KeyEvent, Record
from udfs.evidence.tree import Frontier, NodeId, leaf_hash
from udfs.keysource.care import KeyCare
from udfs.keysource.keys import Binding, NewSigner, Purpose
from udfs.keysource.local import LocalKeys
from udfs.keysource.masters import read_masters
from udfs.keysource.ring import Ages, KeyRing
from udfs.keysource.source import Sign
from udfs.keysource.sources import Sources
from udfs.keysource.trouble import KeysUnavailable

SITE = "betrace.example"


class NumberedKeys(LocalKeys):
    """A local source whose signing keys are those of `LocalSigner.numbered`, and that can be away.

    numbers: of the keys that it makes, one after the other.
    """

    def __init__(self, numbers: Sequence[int] = tuple(range(1, 100))) -> None:
        super().__init__(read_masters(MASTER, where="the test"))
        self.away = False
        self._numbers = iter(numbers)

    def new_signer(self, binding: Binding) -> NewSigner:
        """Make the key of the next number."""
        self._ask()
        number = next(self._numbers)
        sealed = self.wrap(number.to_bytes(32, "big"), binding)
        return NewSigner(LocalSigner.numbered(number).public_key, sealed)

    def signer(self, sealed: Any, binding: Binding) -> Sign:
        """Return what asks whether the source is there each time, as one that signs inside."""
        self._ask()
        sign = super().signer(sealed, binding)

        def ask(message: bytes) -> bytes:
            self._ask()
            return sign(message)

        return ask

    def _ask(self) -> None:
        if self.away:
            raise KeysUnavailable("the test says so", where="the test", next_step="Try again.")


def keys_of(source: LocalKeys, pool: Pool) -> Keys:
    """Return the keys of a source, which remembers nothing: a rotation is seen at once."""
    sources, shelf = Sources([source]), PostgresShelf(pool)
    ring = KeyRing(sources, shelf, ages=Ages(record_s=0, grace_s=0))
    return Keys(ring, KeyCare(sources, shelf, ring), source)


@dataclass
class Sealing:
    """A sequencer of one tenant, at a time that stands still until it is moved."""

    pool: Pool
    scope: TenantScope
    source: NumberedKeys
    keys: Keys
    feeders: Sequence[Feeder] = ()
    pace: Pace = PACE
    batch: int = 10_000
    now_ms: int = BEGIN_MS
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.sequencer = Sequencer(
            self.pool,
            self.keys,
            site=SITE,
            metrics=SealingMetrics(self.registry),
            feeders=self.feeders,
            pace=self.pace,
            batch=self.batch,
            clock=lambda: self.now_ms,
        )

    @property
    def tenant(self) -> UUID:
        """The tenant."""
        return self.scope.tenant_id

    async def offer(self, *offers: Offer, salts: Iterator[bytes] | None = None) -> None:
        """Hand over what is to be sealed."""
        given = {"salt": lambda _: next(salts)} if salts else {}
        async with tenant_transaction(self.pool, sealer_of(self.tenant)) as connection:
            assert not await offer_async(connection, offers, **given)

    async def begin(self) -> None:
        """Begin the log, with its key."""
        origin = f"{SITE}/log/{self.tenant}"
        await create_log(self.pool, self.keys, self.tenant, origin=origin, now_ms=self.now_ms)

    async def seal(self) -> None:
        """Put what waits into the log."""
        while True:
            batch = await self.sequencer.seal(self.tenant)
            assert batch is not None
            if batch.taken < self.batch:
                return

    async def sign(self) -> None:
        """Sign the head now."""
        assert await sign_head(self.pool, self.keys, self.tenant, now_ms=self.now_ms) is not None

    def counted(self, name: str) -> float:
        """Return a counter or gauge of the sequencer."""
        return self.registry.get_sample_value(f"betrace_evidence_{name}") or 0


@asynccontextmanager
async def sealing(database: Database, scope: TenantScope, **given: Any) -> AsyncIterator[Sealing]:
    """Open a sequencer for a tenant, with numbered keys unless a source is given."""
    numbers = given.pop("numbers", tuple(range(1, 100)))
    source = given.pop("source", None) or NumberedKeys(numbers)
    async with open_pool(database.worker, size=4) as pool:
        yield Sealing(pool, scope, source, keys_of(source, pool), **given)


def add_tenant(database: Database, tenant: UUID) -> None:
    """Make a tenant of a given id, with the rule of `tests.support.evidence`."""
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "insert into tenants (id, name, settings) values (%s, %s, '{}') on conflict do nothing",
            [tenant, str(tenant)],
        )
    add_rule(database, tenant)


def add_rule(database: Database, tenant: UUID) -> None:
    """Write the rule of `tests.support.evidence`."""
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "insert into rules (tenant_id, id, state, current_version)"
            " values (%s, %s, 'active', %s) on conflict do nothing",
            [tenant, RULE.id, RULE.version],
        )
        connection.execute(
            "insert into rule_versions (tenant_id, rule_id, version, state, object, text,"
            " canonical, language, deleted, author)"
            " values (%s, %s, %s, 'active', %s, %s, %s, 1, false, 'user:1') on conflict do nothing",
            [
                tenant,
                RULE.id,
                RULE.version,
                Jsonb({"id": RULE.id, "controls": ["soc2.CC7.2"]}),
                RULE_TEXT,
                RULE_TEXT,
            ],
        )


async def seal_like(
    log: EvidenceLog,
    world: Sealing,
    pool: Pool,
    *,
    signed: Callable[[int], Awaitable[None]] | None = None,
) -> None:
    """Seal in Postgres what a log in memory holds, at the same times and signed as often.

    pool: of the application's role. Its acts of erasing are done rather than told. signed: is
    called with the number of each checkpoint once it is there.
    """
    sealed = 0
    salts = iter([payload.salt for _, payload in sorted(_payloads(log).items())])
    for number, head in enumerate(log.heads, 1):
        for record in log.records[sealed : head.size]:
            await _do(record, log, world, pool, salts)
        sealed = head.size
        world.now_ms = head.time_ms
        await world.seal()
        await world.sign()
        if signed is not None:
            await signed(number)


async def _do(
    record: Record, log: EvidenceLog, world: Sealing, pool: Pool, salts: Iterator[bytes]
) -> None:
    if isinstance(record.body, KeyChange):
        if record.body.event is KeyEvent.CREATED:
            await world.begin()
        else:
            await world.keys.care.rotate(world.tenant, Purpose.SIGNING, by="test")
        return
    if record.seq in (each.by for each in log.erased.values()):
        [erased] = [each.seq for each in log.erased.values() if each.by == record.seq]
        await erase_payload(pool, world.scope, erased)
    payload = _payloads(log).get(record.seq)
    offered = Offer(
        tenant=world.tenant,
        id=record.id,
        time_ms=record.time_ms,
        controls=record.controls,
        body=record.body,
        personal=json.loads(payload.text) if payload else None,
    )
    await world.offer(offered, salts=salts)


def _payloads(log: EvidenceLog) -> dict[int, Payload]:
    """Return all payloads of a log, those that were erased as well."""
    erased = {
        seq: Payload('{"user":"person-0@example.com"}', sha256(b"salt %d" % seq).digest())
        for seq in log.erased
    }
    return {**log.payloads, **erased}


def stored_log(database: Database, tenant: UUID, *, like: EvidenceLog) -> EvidenceLog:
    """Read a log out of Postgres into memory, from its bytes alone: nodes are made anew.

    like: has the signers and the time.
    """
    with psycopg.connect(database.admin) as connection:
        lines = connection.execute(
            "select line from evidence_records where tenant_id = %s order by seq", [tenant]
        ).fetchall()
        notes = connection.execute(
            "select note from evidence_checkpoints where tenant_id = %s order by number", [tenant]
        ).fetchall()
        payloads = connection.execute(
            "select seq, payload, salt, floor(extract(epoch from erased_at) * 1000)::bigint"
            " from evidence_payloads where tenant_id = %s order by seq",
            [tenant],
        ).fetchall()
    read = EvidenceLog(tenant=str(tenant), begin_ms=like.begin_ms)
    read.records.clear()
    read.hashes.nodes.clear()
    read.frontier = Frontier()
    for (line,) in lines:
        record = decode_record(line)
        assert not isinstance(record, Malformed), record
        read.records.append(record)
        read.hashes.nodes.update(read.frontier.append(leaf_hash(line)))
    for (text,) in notes:
        note = parse_note(text.encode())
        assert not isinstance(note, Malformed)
        head = parse_checkpoint(note)
        assert not isinstance(head, Malformed)
        read.heads.append(head)
        read.checkpoints.append(SealedCheckpoint(text.encode()))
    for seq, text, salt, at_ms in payloads:
        if salt is None:
            read.erased[seq] = AbsentPayload(seq, Why.ERASED, at_ms)
        else:
            read.payloads[seq] = Payload(text, salt)
    read.signer, read.now_ms = like.signer, like.now_ms
    return read


def assert_sound(log: EvidenceLog) -> None:
    """Check a log that was read: numbered without a gap, every head the root of what is before."""
    assert [record.seq for record in log.records] == list(range(len(log.records)))
    roots = {0: b""}
    frontier = Frontier()
    for record in log.records:
        frontier.append(log.hashes.nodes[NodeId(0, record.seq)])
        roots[frontier.size] = frontier.root()
    for head in log.heads:
        assert roots[head.size] == head.root
    assert [key.verifier_key for key in key_history(log.records)]


def heads_that_do_not_count(log: EvidenceLog) -> list[int]:
    """Return the places of heads that a key signed after its compromise.

    Checks that every other one was signed by the key that was in force at its size.
    """
    history = key_history(log.records)
    found = []
    for place, (head, sealed) in enumerate(zip(log.heads, log.checkpoints, strict=True)):
        key = _signer_of(sealed.note, history)
        if key.revoked_since is not None and head.size > key.revoked_since:
            found.append(place)
        else:
            in_force = [one for one in history if one.introduced < head.size]
            assert key == in_force[-1], f"checkpoint {place + 1}"
    return found


def _signer_of(note: bytes, history: Sequence[LogKey]) -> LogKey:
    """Return the one key of a log that signed a note."""
    parsed = parse_note(note)
    assert not isinstance(parsed, Malformed)
    by_text = {one.verifier_key: one for one in history}
    keys = [key for key in map(parse_verifier_key, by_text) if isinstance(key, VerifierKey)]
    signers = parsed.signed_by(keys)
    assert not isinstance(signers, Malformed)
    [signer] = signers
    return by_text[str(signer)]


_ONE_OF_EACH = (
    "insert into evidence_logs (tenant_id, origin)"
    " values (%(tenant)s::uuid, 'betrace.example/log/' || %(tenant)s::text)",
    "insert into evidence_records (tenant_id, seq, kind, id, time_ms, sealed_ms, controls, outcome,"
    " policy, has_payload, leaf, line) values (%(tenant)s, 0, 'span', %(mark)s, 1, 1,"
    " '{soc2.CC7.2}', 'success', 0, true, sha256('x'), '{\"body\":{\"service\":\"web\"}}')",
    "update evidence_logs set root = sha256('x'), edge = sha256('x') where tenant_id = %(tenant)s",
    "insert into evidence_controls (tenant_id, control, time_ms, seq, kind, outcome)"
    " values (%(tenant)s, 'soc2.CC7.2', 1, 0, 'span', 'success')",
    "insert into evidence_totals (tenant_id, control, day, rule_id, kind, outcome, record_count,"
    " first_ms, last_ms, last_seq)"
    " values (%(tenant)s, 'soc2.CC7.2', '1970-01-01', '', 'span', 'success', 1, 1, 1, 0)",
    "insert into evidence_coverage (tenant_id, rule_id, control, from_ms, to_ms, seq, rule_version,"
    " judged, satisfied, violated, inconclusive, late, dropped)"
    " values (%(tenant)s, 'promise', 'soc2.CC7.2', 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)",
    "insert into evidence_nodes (tenant_id, level, number, hash)"
    " values (%(tenant)s, 4, 0, sha256('x'))",
    "insert into evidence_checkpoints (tenant_id, number, size, root, time_ms, key_id, note)"
    " values (%(tenant)s, 1, 1, sha256('x'), 1, gen_random_uuid(), %(mark)s)",
    "insert into evidence_payloads (tenant_id, seq, payload, salt)"
    " values (%(tenant)s, 0, %(mark)s, sha256('x'))",
    "insert into evidence_coverage_cursors (tenant_id, rule_id, control, rule_version, covered_ms,"
    " ended) values (%(tenant)s, 'promise', 'soc2.CC7.2', 1, 1, true)",
    "insert into evidence_acts_cursors (tenant_id, xact, seq) values (%(tenant)s, '1', 1)",
    "insert into evidence_outages (tenant_id, began_ms, ended_ms, from_size, to_size, attempts,"
    " cause) values (%(tenant)s, 1, 2, 0, 1, 1, 'the test')",
    "insert into evidence_verifications (tenant_id, id, actor, asked, head_number, head_size,"
    " valid_count, invalid_count, unsigned_count, unverified_count, act_id)"
    " values (%(tenant)s, %(verification)s, %(mark)s, '{\"records\":[0]}', 1, 1, 0, 1, 0, 0,"
    " gen_random_uuid())",
    "insert into evidence_verified (tenant_id, verification_id, seq, badge, code, reason)"
    " values (%(tenant)s, %(verification)s, 0, 'invalid', 'record_altered', %(mark)s)",
)


def verification_id_of(scope: TenantScope) -> UUID:
    """Return the id of the verification that `insert_evidence` writes."""
    return uuid5(scope.tenant_id, "verification")


def insert_evidence(database: Database, scope: TenantScope, *, mark: str = "mark") -> str:
    """Write a row into each table of a log, of one record; return its number."""
    values = {
        "tenant": str(scope.tenant_id),
        "mark": mark,
        "verification": verification_id_of(scope),
    }
    with psycopg.connect(database.admin) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        for statement in _ONE_OF_EACH:
            connection.execute(statement.encode(), values)
    return "0"
