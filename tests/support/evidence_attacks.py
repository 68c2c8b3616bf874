"""What somebody may do to a pack of evidence, and the reasons that verifiers must give for it.

Whoever attacks writes the manifest and the counts anew after the change. An outsider cannot sign
the manifest, so that every pack of theirs fails for `manifest_forged` as well; an exporter can. The
own reasons of an attack are what is left then.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256, sha384, sha512
from typing import Protocol

from tests.support.authority import Authority
from tests.support.evidence import (
    CONTROL,
    MINUTE_MS,
    EvidenceLog,
    LocalSigner,
    a_log,
    span,
)
from tests.support.evidence_opened import Opened
from udfs.evidence.canonical import canonical_plain
from udfs.evidence.pack import Disclosure, Query
from udfs.evidence.records import Coverage, KeyChange, KeyEvent
from udfs.evidence.tree import NodeId

OLD = LocalSigner.numbered(1)
"""The key that signed first, and was replaced."""
STRANGER = LocalSigner.numbered(66)
OTHER_TENANT = "99999999-2f6e-4e0b-9d5b-0c4a6f1f2a3b"
STAMPED = 3
"""The number of the checkpoint that has a time stamp."""


class Ground(Protocol):
    """What is attacked: a log with the keys that signed it, and packs of it as they should be."""

    def log(self) -> EvidenceLog:
        """The log, as whoever holds its keys can go on with it."""

    def whole(self) -> Opened:
        """A pack of all of it."""

    def later(self) -> Opened:
        """A pack of the last two of nine minutes: what is before its range is not shown."""

    def one_control(self) -> Opened:
        """A pack of one control that withholds the other records."""

    def stranger(self) -> Opened:
        """A pack of another tenant."""


@dataclass(frozen=True)
class InMemory:
    """A log in memory. authority: that stamps one of its checkpoints."""

    authority: Authority | None = None

    def log(self, minutes: int = 4) -> EvidenceLog:
        """Make it anew."""
        log = a_log(minutes=minutes)
        if self.authority is not None:
            sealed = log.checkpoints[STAMPED - 1]
            stamp = self.authority.stamp(sealed.note)
            log.checkpoints[STAMPED - 1] = replace(sealed, stamp=stamp)
        return log

    def whole(self) -> Opened:
        """Write the pack."""
        return Opened.of(self.log())

    def later(self) -> Opened:
        """Write the pack."""
        log = self.log(minutes=9)
        query = Query(log.begin_ms + 7 * MINUTE_MS, log.now_ms)
        return Opened.of(log, log.pack(log.head(first=7, query=query)))

    def one_control(self) -> Opened:
        """Write the pack."""
        log = self.log()
        query = Query(log.begin_ms, log.now_ms, controls=(CONTROL,))
        return Opened.of(log, log.pack(log.head(disclosure=Disclosure.SELECTED, query=query)))

    def stranger(self) -> Opened:
        """Write the pack."""
        return Opened.of(of_another_tenant(self.log().begin_ms))


def of_another_tenant(begin_ms: int) -> EvidenceLog:
    """Return the log of another tenant, with a key of its own."""
    log = EvidenceLog(tenant=OTHER_TENANT, signer=LocalSigner.numbered(9), begin_ms=begin_ms)
    log.minute(begins=True)
    return log


@dataclass(frozen=True)
class Attack:
    """What is done, and the reasons for which the pack must fail, apart from the manifest's.

    on_stamp: whether it needs a pack with a time stamp. Warnings are told but for that of stamps
    which are right, `stamps_unverified`.
    """

    name: str
    reasons: frozenset[str]
    make: Callable[[Ground], Opened]
    warnings: frozenset[str] = frozenset()
    on_stamp: bool = False


ATTACKS: list[Attack] = []


def attack(
    *reasons: str, warnings: tuple[str, ...] = (), on_stamp: bool = False
) -> Callable[[Callable[[Ground], Opened]], None]:
    """Put an attack into the table, by the name of the function that makes it."""

    def enter(make: Callable[[Ground], Opened]) -> None:
        name = make.__name__.replace("_", " ").strip()
        ATTACKS.append(Attack(name, frozenset(reasons), make, frozenset(warnings), on_stamp))

    return enter


# records


@attack("records_altered")
def flip(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(b'"login"', b'"logio"', 1)
    return pack


@attack("record_missing")
def delete(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.put(pack.lines()[:5] + pack.lines()[6:])
    return pack


@attack("records_altered", "records_truncated")
def delete_and_number_anew(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()[:5] + pack.lines()[6:]
    pack.put([line | {"seq": seq} for seq, line in enumerate(lines)])
    for name in ("payloads.jsonl", "absent.jsonl"):
        moved = [one | {"seq": one["seq"] - (one["seq"] > 5)} for one in pack.lines(name)]
        pack.put(moved, name)
    return pack


@attack("record_inserted")
def insert(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    pack.put([*lines[:6], lines[5] | {"id": "never happened"}, *lines[6:]])
    return pack


@attack("record_inserted")
def insert_after_the_last_checkpoint(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    pack.put([*lines, lines[5] | {"id": "never happened", "seq": len(lines)}])
    return pack


@attack("record_reordered")
def reorder(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    pack.put([*lines[:4], lines[5], lines[4], *lines[6:]])
    return pack


@attack("records_altered")
def reorder_and_number_anew(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    lines[4], lines[5] = lines[5] | {"seq": 4}, lines[4] | {"seq": 5}
    pack.put(lines)
    return pack


@attack("records_truncated", warnings=("coverage_edge",))
def truncate(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.put(pack.lines()[:-1])
    return pack


@attack("range_incomplete", warnings=("coverage_edge",))
def truncate_to_an_older_checkpoint(ground: Ground) -> Opened:
    pack = ground.whole()
    number = len(pack.log.checkpoints)
    checkpoint = pack.checkpoint_at(number - 1)
    del pack.files[f"checkpoints/{number:06}.note"]
    pack.put(pack.lines("consistency.jsonl")[:-1], "consistency.jsonl")
    pack.put(pack.lines()[: checkpoint.size])
    pack.put(
        [one for one in pack.lines("payloads.jsonl") if one["seq"] < checkpoint.size],
        "payloads.jsonl",
    )
    pack.edit("pack.json", end=checkpoint.size)
    return pack


@attack("record_replayed")
def replay_a_record(ground: Ground) -> Opened:
    log = ground.log()
    again = log.records[5]
    log.append(again.body, controls=again.controls, identity=again.id, time_ms=again.time_ms)
    log.seal()
    return Opened.of(log)


@attack("pack_outdated")
def replay_an_old_pack(ground: Ground) -> Opened:
    log = ground.log()
    pack = ground.whole()
    log.minute()
    pack.checkpoint = log.checkpoints[-1].note
    return pack


@attack("records_altered", "record_foreign")
def swap_the_tenant_of_a_record(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    lines[5]["tenant"] = OTHER_TENANT
    pack.put(lines)
    return pack


@attack("key_untrusted", "manifest_forged")
def give_the_pack_of_another_tenant(ground: Ground) -> Opened:
    pack = ground.stranger()
    pack.keys = ground.whole().keys
    return pack


@attack("records_altered")
def edit_the_time_of_a_record(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    lines[5]["time_ms"] += 1_000
    pack.put(lines)
    return pack


@attack("record_postdated")
def seal_what_has_not_happened(ground: Ground) -> Opened:
    log = ground.log()
    log.append(span(500), time_ms=log.now_ms + 60 * MINUTE_MS)
    log.seal()
    return Opened.of(log)


# what is not shown


@attack("record_hidden", warnings=("withheld",))
def hide_a_record_behind_its_hash(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    [hashed] = pack.log.hashes.read([NodeId(0, 5)])
    lines[5] = {"count": 1, "first": 5, "hash": b64encode(hashed).decode()}
    pack.put(lines)
    return pack


@attack("coverage_gap")
def leave_an_interval_out(ground: Ground) -> Opened:
    log = ground.log()
    log.now_ms += MINUTE_MS
    log.minute()
    return Opened.of(log)


@attack("coverage_overlap")
def count_an_interval_twice(ground: Ground) -> Opened:
    log = ground.log()
    log.now_ms -= MINUTE_MS
    log.minute()
    return Opened.of(log)


@attack("record_postdated")
def account_for_the_future(ground: Ground) -> Opened:
    log = ground.log()
    end_ms = log.now_ms
    log.minute()
    coverage = log.records[-1].body
    assert isinstance(coverage, Coverage)
    ahead = replace(coverage, from_ms=log.now_ms, to_ms=log.now_ms + 60 * MINUTE_MS)
    log.append(ahead, controls=[CONTROL], time_ms=log.now_ms)
    log.seal()
    return Opened.of(log, log.pack(log.head(query=Query(log.begin_ms, end_ms))))


@attack("coverage_impossible", "records_altered")
def count_more_verdicts_than_judgements(ground: Ground) -> Opened:
    pack = ground.whole()
    lines = pack.lines()
    coverage = next(one for one in reversed(lines) if one["kind"] == "coverage")["body"]
    coverage["violated"] = coverage["judged"]
    pack.put(lines)
    return pack


@attack("range_incomplete", warnings=("coverage_edge",))
def ask_for_more_than_was_sealed(ground: Ground) -> Opened:
    pack = ground.whole()
    query = pack.value("pack.json")["query"]
    pack.edit("pack.json", query=query | {"to_ms": query["to_ms"] + MINUTE_MS})
    return pack


@attack("range_incomplete")
def begin_the_range_too_late(ground: Ground) -> Opened:
    pack = ground.later()
    pack.edit("pack.json", first=pack.value("pack.json")["first"] + 1)
    return pack


# checkpoints and keys


@attack("checkpoint_forged")
def edit_the_size_of_a_checkpoint(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.checkpoint_edit(2, b"\n8\n", b"\n7\n")
    return pack


@attack("checkpoint_forged")
def edit_the_root_of_a_checkpoint(ground: Ground) -> Opened:
    pack = ground.whole()
    root = b64encode(pack.checkpoint_at(2).root)
    pack.checkpoint_edit(2, root, b64encode(bytes(32)))
    return pack


@attack("checkpoint_forged")
def edit_the_time_of_a_checkpoint(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.checkpoint_edit(2, b"time_ms 1", b"time_ms 2")
    return pack


@attack("checkpoint_foreign")
def swap_the_tenant_of_a_checkpoint(ground: Ground) -> Opened:
    pack = ground.whole()
    first = ground.stranger().files["checkpoints/000001.note"]
    pack.files["checkpoints/000002.note"] = first
    return pack


@attack("checkpoint_disordered")
def put_an_older_checkpoint_last(ground: Ground) -> Opened:
    pack = ground.whole()
    number = len(pack.log.checkpoints) + 1
    pack.files[f"checkpoints/{number:06}.note"] = pack.files["checkpoints/000004.note"]
    return pack


@attack("key_retired")
def sign_by_the_old_key(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.resign(len(pack.log.checkpoints), OLD)
    return pack


@attack("key_unknown")
def sign_by_a_wrong_key(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.resign(len(pack.log.checkpoints), STRANGER)
    return pack


@attack("key_revoked")
def sign_by_a_revoked_key(ground: Ground) -> Opened:
    log = ground.log()
    stolen, log.signer = log.signer, LocalSigner.numbered(3)
    revoked = KeyChange(
        KeyEvent.REVOKED, log.verifier_key(stolen), "", log.heads[-1].size, "it was stolen"
    )
    log.append(revoked, identity="revoked")
    log.append(KeyChange(KeyEvent.ROTATED, log.verifier_key()), identity="key-3")
    log.seal([stolen])
    log.seal()
    return Opened.of(log)


@attack("key_untrusted", "manifest_forged")
def make_everything_anew_with_another_key(ground: Ground) -> Opened:
    real = ground.log()
    log = EvidenceLog(tenant=real.tenant, signer=STRANGER, begin_ms=real.begin_ms)
    log.minute(begins=True)
    pack = Opened.of(log)
    pack.keys = ground.whole().keys
    return pack


@attack("key_untrusted", "key_endorsement", "manifest_forged")
def let_another_key_follow(ground: Ground) -> Opened:
    log = ground.log()
    pinned = [log.verifier_key()]
    forged = b64encode(bytes(64)).decode()
    log.append(KeyChange(KeyEvent.ROTATED, log.verifier_key(STRANGER), forged))
    log.signer = STRANGER
    log.minute()
    pack = Opened.of(log)
    pack.keys = pinned
    return pack


@attack("key_contradicted")
def let_the_old_key_count_for_longer(ground: Ground) -> Opened:
    pack = ground.whole()
    keys = pack.value("keys.json")
    keys[0]["retired"] = None
    pack.files["keys.json"] = canonical_plain(keys)
    pack.resign(len(pack.log.checkpoints), OLD, pack.log.signer)
    return pack


@attack("consistency_broken")
def edit_a_proof_of_consistency(ground: Ground) -> Opened:
    pack = ground.whole()
    proofs = pack.lines("consistency.jsonl")
    proofs[1]["hashes"][0] = b64encode(bytes(32)).decode()
    pack.put(proofs, "consistency.jsonl")
    return pack


@attack("consistency_broken")
def leave_a_proof_of_consistency_out(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.put(pack.lines("consistency.jsonl")[1:], "consistency.jsonl")
    return pack


@attack("fork")
def fork(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["checkpoints/000002.note"] = another_history(ground).checkpoints[1].note
    return pack


@attack("fork")
def fork_before_whoever_has_seen_the_other_side(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.checkpoint = another_history(ground).checkpoints[1].note
    return pack


# files


@attack("file_altered")
def change_a_file_and_not_the_manifest(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["README.txt"] += b"Trust me.\n"
    pack.remanifests = False
    return pack


@attack("file_missing")
def leave_a_file_out(ground: Ground) -> Opened:
    pack = ground.whole()
    del pack.files["suppressions.jsonl"]
    return pack


@attack("file_unexpected")
def add_a_file_outside(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["../../outside"] = b"#!/bin/sh\n"
    return pack


@attack("record_malformed")
def write_a_record_in_another_way(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(b'"policy":0', b'"policy": 0', 1)
    return pack


@attack("record_malformed")
def give_a_record_one_key_twice(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(
        b'"policy":0', b'"policy":0,"policy":0', 1
    )
    return pack


@attack("commitment_mismatch")
def edit_a_payload(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["payloads.jsonl"] = pack.files["payloads.jsonl"].replace(b"person-0", b"person-1", 1)
    return pack


@attack("payload_missing")
def leave_a_payload_out(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.put(pack.lines("payloads.jsonl")[1:], "payloads.jsonl")
    return pack


@attack("payload_unexpected")
def add_a_payload(ground: Ground) -> Opened:
    pack = ground.whole()
    payloads = pack.lines("payloads.jsonl")
    pack.put([payloads[0] | {"seq": 1}, *payloads], "payloads.jsonl")
    return pack


@attack("rule_altered")
def edit_the_text_of_a_rule(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.files["rules.jsonl"] = pack.files["rules.jsonl"].replace(b"always", b"never ", 1)
    return pack


@attack("file_malformed")
def give_two_texts_of_a_rule(ground: Ground) -> Opened:
    pack = ground.whole()
    [rule] = pack.lines("rules.jsonl")
    pack.put([rule | {"text": "when { a } never { b }"}, rule], "rules.jsonl")
    return pack


@attack("consistency_broken")
def leave_a_checkpoint_out(ground: Ground) -> Opened:
    pack = ground.whole()
    del pack.files["checkpoints/000002.note"]
    return pack


@attack("rule_missing")
def leave_the_text_of_a_rule_out(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.put([], "rules.jsonl")
    return pack


@attack("population_mismatch")
def edit_the_population(ground: Ground) -> Opened:
    pack = ground.whole()
    pack.edit("population.json", by_verdict={})
    pack.recounts = False
    return pack


@attack("coverage_mismatch")
def edit_the_sums_of_coverage(ground: Ground) -> Opened:
    pack = ground.whole()
    rows = pack.value("coverage.json")
    rows[0]["violated"] = 0
    pack.files["coverage.json"] = canonical_plain(rows)
    pack.recounts = False
    return pack


@attack("population_mismatch", warnings=("withheld",))
def show_what_was_not_asked_for(ground: Ground) -> Opened:
    pack = ground.one_control()
    lines = pack.lines()
    at = next(i for i, line in enumerate(lines) if line.get("count") == 1)
    shown = next(line for line in ground.whole().lines() if line["seq"] == lines[at]["first"])
    lines[at] = shown
    pack.put(lines)
    return pack


# time stamps


@attack("stamp_forged", on_stamp=True)
def edit_the_time_of_a_stamp(ground: Ground) -> Opened:
    pack, name, stamp = _stamped(ground)
    pack.files[name] = _later(stamp)
    return pack


@attack("stamp_forged", on_stamp=True)
def edit_the_time_of_a_stamp_and_the_hash_of_it(ground: Ground) -> Opened:
    pack, name, stamp = _stamped(ground)
    edited = _later(stamp)
    [was, now] = [
        [hashed(_told(one)).digest() for hashed in (sha256, sha384, sha512)]
        for one in (stamp, edited)
    ]
    [at] = [at for at, digest in enumerate(was) if digest in stamp]
    pack.files[name] = edited.replace(was[at], now[at])
    return pack


@attack("stamp_forged", on_stamp=True)
def edit_the_signature_of_a_stamp(ground: Ground) -> Opened:
    pack, name, stamp = _stamped(ground)
    pack.files[name] = stamp[:-1] + bytes([stamp[-1] ^ 1])
    return pack


@attack("stamp_foreign", on_stamp=True)
def give_a_stamp_to_another_checkpoint(ground: Ground) -> Opened:
    pack, name, stamp = _stamped(ground)
    del pack.files[name]
    pack.files[f"stamps/{STAMPED - 1:06}.tsr"] = stamp
    return pack


@attack("stamp_foreign", on_stamp=True)
def give_a_stamp_to_no_checkpoint(ground: Ground) -> Opened:
    pack, name, stamp = _stamped(ground)
    del pack.files[name]
    pack.files["stamps/000099.tsr"] = stamp
    return pack


@attack("stamp_malformed", on_stamp=True)
def cut_a_stamp(ground: Ground) -> Opened:
    pack, name, stamp = _stamped(ground)
    pack.files[name] = stamp[:100]
    return pack


@attack("stamp_malformed", on_stamp=True)
def give_a_stamp_that_is_none(ground: Ground) -> Opened:
    pack, name, _ = _stamped(ground)
    pack.files[name] = b"\x30\x84\xff\xff\xff\xff"
    return pack


def _stamped(ground: Ground) -> tuple[Opened, str, bytes]:
    """Return a pack, and name and bytes of its time stamp."""
    pack = ground.whole()
    name = f"stamps/{STAMPED:06}.tsr"
    return pack, name, pack.files[name]


def _later(stamp: bytes) -> bytes:
    """Return a time stamp that says another year."""
    at = stamp.index(b"\x18\x0f20") + 2
    return stamp[:at] + b"2099" + stamp[at + 4 :]


def _told(stamp: bytes) -> bytes:
    """Return what a time stamp says, its TSTInfo: the content of an OCTET STRING after its OID."""
    at = stamp.index(bytes.fromhex("060b2a864886f70d0109100104")) + 13
    for _ in "[0]", "OCTET STRING":
        at, size = _opened(stamp, at)
    return stamp[at : at + size]


def _opened(raw: bytes, at: int) -> tuple[int, int]:
    """Return where the content of a DER value begins, and its length."""
    size, begin = raw[at + 1], at + 2
    if size & 0x80:
        begin += size & 0x7F
        size = int.from_bytes(raw[at + 2 : begin], "big")
    return begin, size


def another_history(ground: Ground) -> EvidenceLog:
    """Return a log of the same tenant and key that tells something else from record 1 on."""
    real = ground.log()
    log = EvidenceLog(tenant=real.tenant, begin_ms=real.begin_ms)
    log.append(span(77))
    log.minute(begins=True)
    log.minute(violated=0, spans=0)
    return log
