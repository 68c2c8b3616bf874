"""Keys at work and what becomes of them, on every record; and with every source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.integration.keysource.conftest import Provided, Recorded
from udfs.keysource.care import KeyCare
from udfs.keysource.keys import Binding, KeyRecord, KeyState, NewKey, Purpose, Sealed
from udfs.keysource.local import LocalKeys
from udfs.keysource.making import make_next
from udfs.keysource.masters import new_master, read_masters
from udfs.keysource.ring import Ages, KeyRing
from udfs.keysource.shelf import KeyShelf
from udfs.keysource.signing import is_signature
from udfs.keysource.source import KeySource
from udfs.keysource.sources import Sources
from udfs.keysource.trouble import (
    KeyDestroyed,
    KeyRefused,
    KeyRevoked,
    KeysUnavailable,
    UnknownKey,
)

MASTER = read_masters(new_master("m1"), where="the test")
BY = "operator:test"
FRESH = Ages(record_s=0, secret_s=0, grace_s=0)
"""Nothing is remembered: each question is put."""


@dataclass(slots=True)
class Hands:
    """A clock that is moved by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class Counting(LocalKeys):
    """A local source that counts its questions, and can be away."""

    def __init__(self) -> None:
        super().__init__(MASTER)
        self.asked: list[str] = []
        self.away = False

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        self._note("unwrap")
        return super().unwrap(sealed, binding)

    def generate(self, binding: Binding) -> NewKey:
        self._note("generate")
        return super().generate(binding)

    def _note(self, what: str) -> None:
        if self.away:
            raise KeysUnavailable("the test says so", where="the test", next_step="Try again.")
        self.asked.append(what)


@dataclass(slots=True)
class Process:
    """A ring as one process has it, and what looks after its keys."""

    shelf: KeyShelf
    sources: Sequence[KeySource] = field(default_factory=lambda: [LocalKeys(MASTER)])
    ages: Ages = FRESH
    clock: Hands = field(default_factory=Hands)
    ring: KeyRing = field(init=False)
    care: KeyCare = field(init=False)

    def __post_init__(self) -> None:
        sources = Sources(self.sources)
        self.ring = KeyRing(sources, self.shelf, ages=self.ages, monotonic=self.clock)
        self.care = KeyCare(sources, self.shelf, self.ring)


def generations(records: Sequence[KeyRecord], purpose: Purpose) -> list[tuple[int, str]]:
    return [(r.generation, r.state.value) for r in records if r.purpose is purpose]


async def test_a_key_is_made_when_one_is_needed_first_and_then_kept(recorded: Recorded) -> None:
    ours, another = Process(recorded.shelf), Process(recorded.shelf)
    first = await ours.ring.current(recorded.tenant, Purpose.DATA)
    again = await another.ring.current(recorded.tenant, Purpose.DATA)
    assert (first.record.id, first.secret) == (again.record.id, again.secret)
    assert first.record.state is KeyState.ACTIVE
    hashing = await ours.ring.current(recorded.tenant, Purpose.REDACTION)
    assert hashing.secret != first.secret


async def test_processes_that_need_the_first_key_at_once_get_the_same(recorded: Recorded) -> None:
    processes = [Process(recorded.shelf) for _ in range(8)]
    keys = await asyncio.gather(
        *(each.ring.current(recorded.tenant, Purpose.DATA) for each in processes)
    )
    assert len({key.secret for key in keys}) == 1
    records = await recorded.shelf.all_of(recorded.tenant)
    assert generations(records, Purpose.DATA) == [(1, "active")]


async def test_of_processes_that_rotate_at_once_one_wins_and_all_use_its_key(
    recorded: Recorded,
) -> None:
    processes = [Process(recorded.shelf) for _ in range(8)]
    await processes[0].ring.current(recorded.tenant, Purpose.DATA)
    made = await asyncio.gather(
        *(each.care.rotate(recorded.tenant, Purpose.DATA, by=BY) for each in processes)
    )
    records = await recorded.shelf.all_of(recorded.tenant)
    of_purpose = [record for record in records if record.purpose is Purpose.DATA]
    # Whoever came late rotated once more; no generation has two keys, and one is in use.
    assert [record.generation for record in of_purpose] == list(range(1, len(of_purpose) + 1))
    assert [r.state for r in of_purpose].count(KeyState.ACTIVE) == 1
    assert {record.id for record in made} <= {record.id for record in of_purpose}
    keys = await asyncio.gather(
        *(each.ring.current(recorded.tenant, Purpose.DATA) for each in processes)
    )
    assert {key.record.id for key in keys} == {of_purpose[-1].id}


async def test_a_generation_is_taken_once(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    await process.ring.current(recorded.tenant, Purpose.DATA)
    first = await recorded.shelf.newest(recorded.tenant, Purpose.DATA)
    assert first is not None
    source = Sources([LocalKeys(MASTER)]).first
    made = await asyncio.gather(
        *(
            make_next(
                source,
                recorded.shelf,
                tenant=recorded.tenant,
                purpose=Purpose.DATA,
                after=first,
                by=BY,
            )
            for _ in range(8)
        )
    )
    assert {(record.id, record.generation) for record in made} == {(made[0].id, 2)}


async def test_a_rotated_key_reads_what_it_sealed_and_seals_no_more(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    old = await process.ring.current(recorded.tenant, Purpose.DATA)
    await process.care.rotate(recorded.tenant, Purpose.DATA, by=BY)
    new = await process.ring.current(recorded.tenant, Purpose.DATA)
    assert new.record.generation == 2
    opened = await process.ring.open(recorded.tenant, old.record.id, Purpose.DATA)
    assert (opened.secret, opened.record.state) == (old.secret, KeyState.RETIRED)
    assert opened.record.retired_at == new.record.created_at


async def test_a_rotated_signing_key_still_verifies(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    old = await process.ring.signer(recorded.tenant)
    signature = old.sign(b"a message")
    await process.care.rotate(recorded.tenant, Purpose.SIGNING, by=BY)
    new = await process.ring.signer(recorded.tenant)
    record = await process.ring.record(recorded.tenant, old.record.id)
    assert new.record.public_key != record.public_key
    assert record.public_key is not None
    assert is_signature(signature, b"a message", public_key=record.public_key)


async def test_the_keys_of_a_tenant_are_nobody_elses(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    ours = await process.ring.current(recorded.tenant, Purpose.DATA)
    theirs = await process.ring.current(recorded.other, Purpose.DATA)
    assert ours.secret != theirs.secret
    with pytest.raises(UnknownKey):
        await process.ring.open(recorded.other, ours.record.id, Purpose.DATA)
    with pytest.raises(UnknownKey):
        await process.care.revoke(recorded.other, ours.record.id, reason="x", by=BY)
    assert [r.id for r in await process.care.all_of(recorded.other)] == [theirs.record.id]


async def test_a_key_is_not_opened_for_another_purpose(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    key = await process.ring.current(recorded.tenant, Purpose.DATA)
    signer = await process.ring.signer(recorded.tenant)
    for key_id, purpose in (
        (key.record.id, Purpose.REDACTION),
        (signer.record.id, Purpose.SIGNING),
        (uuid4(), Purpose.DATA),
    ):
        with pytest.raises(UnknownKey):
            await process.ring.open(recorded.tenant, key_id, purpose)


async def test_a_revoked_key_is_followed_by_another_and_opened_only_by_name(
    recorded: Recorded,
) -> None:
    process = Process(recorded.shelf)
    old = await process.ring.current(recorded.tenant, Purpose.DATA)
    revoked = await process.care.revoke(recorded.tenant, old.record.id, reason="a laptop", by=BY)
    assert revoked.state is KeyState.REVOKED
    new = await process.ring.current(recorded.tenant, Purpose.DATA)
    assert new.record.generation == 2
    with pytest.raises(KeyRevoked):
        await process.ring.open(recorded.tenant, old.record.id, Purpose.DATA)
    opened = await process.ring.open(
        recorded.tenant, old.record.id, Purpose.DATA, even_revoked=True
    )
    assert opened.secret == old.secret


async def test_a_revocation_gets_earlier_and_never_later(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    key = (await process.ring.signer(recorded.tenant)).record
    now = datetime.now(UTC)
    days = {n: now - timedelta(days=n) for n in (1, 2, 3)}
    for n in (2, 1, 3):
        await process.care.revoke(
            recorded.tenant, key.id, reason=f"reason {n}", by=BY, untrusted_from=days[n]
        )
    record = await process.ring.record(recorded.tenant, key.id)
    assert record.revocation is not None
    assert (record.revocation.reason, record.revocation.untrusted_from) == ("reason 2", days[3])
    with pytest.raises(KeyRefused, match="to come"):
        await process.care.revoke(
            recorded.tenant, key.id, reason="x", by=BY, untrusted_from=now + timedelta(hours=1)
        )


async def test_a_destroyed_key_is_gone_and_its_public_key_stays(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    sealing = await process.ring.current(recorded.tenant, Purpose.DATA)
    signing = await process.ring.signer(recorded.tenant)
    with pytest.raises(KeyRefused, match="in use"):
        await process.care.destroy(recorded.tenant, sealing.record.id, by=BY)
    for purpose in (Purpose.DATA, Purpose.SIGNING):
        await process.care.rotate(recorded.tenant, purpose, by=BY)
    for key_id in (sealing.record.id, signing.record.id):
        gone = await process.care.destroy(recorded.tenant, key_id, by=BY)
        assert (gone.state, gone.sealed) == (KeyState.DESTROYED, None)
    with pytest.raises(KeyDestroyed):
        await process.ring.open(recorded.tenant, sealing.record.id, Purpose.DATA)
    record = await process.ring.record(recorded.tenant, signing.record.id)
    assert record.public_key == signing.record.public_key


async def test_shredding_leaves_nothing_to_read_with(recorded: Recorded) -> None:
    process = Process(recorded.shelf)
    key = await process.ring.current(recorded.tenant, Purpose.DATA)
    await process.ring.signer(recorded.tenant)
    theirs = await process.ring.current(recorded.other, Purpose.DATA)
    assert await process.care.shred(recorded.tenant, by=BY) == 2
    assert await process.care.shred(recorded.tenant, by=BY) == 0
    with pytest.raises(KeyDestroyed):
        await process.ring.open(recorded.tenant, key.record.id, Purpose.DATA)
    left = await process.ring.open(recorded.other, theirs.record.id, Purpose.DATA)
    assert left.secret == theirs.secret


async def test_keys_move_to_another_master_key_and_to_another_source(recorded: Recorded) -> None:
    before = Process(recorded.shelf)
    key = await before.ring.current(recorded.tenant, Purpose.DATA)
    signer = await before.ring.signer(recorded.tenant)
    second = new_master("m2")
    both = LocalKeys(read_masters(f"m1 {MASTER.by_id['m1'].hex()}\n{second}", where="the test"))
    after = Process(recorded.shelf, [both])
    assert await after.care.rewrap(recorded.tenant) == 2
    assert await after.care.rewrap(recorded.tenant) == 0
    alone = Process(recorded.shelf, [LocalKeys(read_masters(second, where="the test"))])
    opened = await alone.ring.open(recorded.tenant, key.record.id, Purpose.DATA)
    again = await alone.ring.signer(recorded.tenant)
    assert opened.secret == key.secret
    assert again.sign(b"a message") == signer.sign(b"a message")
    with pytest.raises(KeyRefused, match="master key"):
        await before.ring.open(recorded.tenant, key.record.id, Purpose.DATA)


async def test_a_source_that_is_not_set_up_is_named(recorded: Recorded, provided: Provided) -> None:
    if provided.name == "local":
        pytest.skip("the other source is local")
    there = Process(recorded.shelf, [provided.source])
    key = await there.ring.current(recorded.tenant, Purpose.DATA)
    with pytest.raises(KeyRefused, match=provided.source.provider):
        await Process(recorded.shelf).ring.open(recorded.tenant, key.record.id, Purpose.DATA)


async def test_keys_move_from_one_source_to_another(recorded: Recorded, provided: Provided) -> None:
    if provided.name == "local":
        pytest.skip("the other source is local")
    before = Process(recorded.shelf)
    key = await before.ring.current(recorded.tenant, Purpose.DATA)
    signature = (await before.ring.signer(recorded.tenant)).sign(b"a message")
    moving = Process(recorded.shelf, [provided.source, LocalKeys(MASTER)])
    assert await moving.care.rewrap(recorded.tenant) == 2
    there = Process(recorded.shelf, [provided.source])
    opened = await there.ring.open(recorded.tenant, key.record.id, Purpose.DATA)
    assert opened.secret == key.secret
    assert (await there.ring.signer(recorded.tenant)).sign(b"a message") == signature
    back = Process(recorded.shelf, [LocalKeys(MASTER), provided.source])
    assert await back.care.rewrap(recorded.tenant) == 2
    opened = await before.ring.open(recorded.tenant, key.record.id, Purpose.DATA)
    assert opened.secret == key.secret


async def test_a_life_of_keys_with_every_source(recorded: Recorded, provided: Provided) -> None:
    process = Process(recorded.shelf, [provided.source])
    tenant = recorded.tenant
    old = await process.ring.signer(tenant)
    signature = await asyncio.to_thread(old.sign, b"a message")
    await process.care.rotate(tenant, Purpose.SIGNING, by=BY)
    new = await process.ring.signer(tenant)
    await process.care.revoke(tenant, new.record.id, reason="a laptop", by=BY)
    third = await process.ring.signer(tenant)
    await process.care.destroy(tenant, old.record.id, by=BY)
    records = await process.care.all_of(tenant)
    assert generations(records, Purpose.SIGNING) == [
        (1, "destroyed"),
        (2, "revoked"),
        (3, "active"),
    ]
    assert old.record.public_key is not None
    assert is_signature(signature, b"a message", public_key=old.record.public_key)
    assert len(await asyncio.to_thread(third.sign, b"another")) == 64
    assert await process.care.shred(tenant, by=BY) == 2
    gone = await process.ring.record(tenant, third.record.id)
    assert (gone.state, gone.sealed) == (KeyState.DESTROYED, None)


async def test_while_the_source_is_away_known_keys_go_on_for_the_grace(recorded: Recorded) -> None:
    source, hands = Counting(), Hands()
    ages = Ages(record_s=5, secret_s=60, grace_s=30)
    process = Process(recorded.shelf, [source], ages=ages, clock=hands)
    key = await process.ring.current(recorded.tenant, Purpose.DATA)
    source.away = True
    hands.now_s = 80.0
    late = await process.ring.current(recorded.tenant, Purpose.DATA)
    assert late.secret == key.secret
    assert process.ring.counts["secrets"].late == 1
    with pytest.raises(KeysUnavailable):
        await process.ring.current(recorded.other, Purpose.DATA)
    hands.now_s = 91.0
    with pytest.raises(KeysUnavailable):
        await process.ring.current(recorded.tenant, Purpose.DATA)
    source.away = False
    assert (await process.ring.current(recorded.tenant, Purpose.DATA)).secret == key.secret


async def test_a_revoked_key_has_no_grace(recorded: Recorded) -> None:
    source, hands = Counting(), Hands()
    ages = Ages(record_s=5, secret_s=60, grace_s=600)
    process = Process(recorded.shelf, [source], ages=ages, clock=hands)
    key = await process.ring.current(recorded.tenant, Purpose.DATA)
    another = Process(recorded.shelf)
    await another.care.revoke(recorded.tenant, key.record.id, reason="a laptop", by=BY)
    source.away = True
    hands.now_s = 6.0
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await process.ring.current(recorded.tenant, Purpose.DATA)


async def test_another_process_hears_of_a_revocation_when_its_record_is_old(
    recorded: Recorded,
) -> None:
    hands = Hands()
    ages = Ages(record_s=5, secret_s=3600, grace_s=600)
    process = Process(recorded.shelf, ages=ages, clock=hands)
    key = await process.ring.current(recorded.tenant, Purpose.DATA)
    await process.ring.open(recorded.tenant, key.record.id, Purpose.DATA)
    another = Process(recorded.shelf)
    await another.care.revoke(recorded.tenant, key.record.id, reason="a laptop", by=BY)
    hands.now_s = 4.9
    assert (await process.ring.current(recorded.tenant, Purpose.DATA)).secret == key.secret
    hands.now_s = 5.0
    assert (await process.ring.current(recorded.tenant, Purpose.DATA)).record.generation == 2
    with pytest.raises(KeyRevoked):
        await process.ring.open(recorded.tenant, key.record.id, Purpose.DATA)


async def test_the_process_that_revokes_forgets_at_once(recorded: Recorded) -> None:
    source = Counting()
    process = Process(recorded.shelf, [source], ages=Ages(), clock=Hands())
    key = await process.ring.current(recorded.tenant, Purpose.DATA)
    await process.ring.current(recorded.tenant, Purpose.DATA)
    assert source.asked == ["generate", "unwrap"]
    await process.care.revoke(recorded.tenant, key.record.id, reason="a laptop", by=BY)
    await process.ring.open(recorded.tenant, key.record.id, Purpose.DATA, even_revoked=True)
    assert source.asked == ["generate", "unwrap", "unwrap"]
    assert (await process.ring.current(recorded.tenant, Purpose.DATA)).record.generation == 2


async def test_many_who_need_a_key_at_once_ask_the_source_once(recorded: Recorded) -> None:
    source = Counting()
    process = Process(recorded.shelf, [source], ages=Ages(), clock=Hands())
    keys = await asyncio.gather(
        *(process.ring.current(recorded.tenant, Purpose.DATA) for _ in range(50))
    )
    assert len({key.secret for key in keys}) == 1
    assert source.asked == ["generate", "unwrap"]
