"""What somebody may do to a pack of evidence, and the reasons that verifiers must give for it.

Whoever attacks writes the manifest and the counts anew after the change. An outsider cannot sign
the manifest, so that every pack of theirs fails for `manifest_forged` as well; an exporter can. The
own reasons of an attack are what is left then.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.support.evidence import (
    BEGIN_MS,
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

STRANGER = LocalSigner.numbered(66)
OTHER_TENANT = "99999999-2f6e-4e0b-9d5b-0c4a6f1f2a3b"


@dataclass(frozen=True)
class Attack:
    """What is done, and the reasons for which the pack must fail, apart from the manifest's."""

    name: str
    reasons: frozenset[str]
    make: Callable[[], Opened]
    warnings: frozenset[str] = frozenset()


ATTACKS: list[Attack] = []


def attack(*reasons: str, warnings: tuple[str, ...] = ()) -> Callable[[Callable[[], Opened]], None]:
    """Put an attack into the table, by the name of the function that makes it."""

    def enter(make: Callable[[], Opened]) -> None:
        name = make.__name__.replace("_", " ").strip()
        ATTACKS.append(Attack(name, frozenset(reasons), make, frozenset(warnings)))

    return enter


def opened() -> Opened:
    """Return the pack of a log that is as it should be."""
    return Opened.of(a_log())


# records


@attack("records_altered")
def flip() -> Opened:
    pack = opened()
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(b'"login"', b'"logio"', 1)
    return pack


@attack("record_missing")
def delete() -> Opened:
    pack = opened()
    pack.put(pack.lines()[:5] + pack.lines()[6:])
    return pack


@attack("records_altered", "records_truncated")
def delete_and_number_anew() -> Opened:
    pack = opened()
    lines = pack.lines()[:5] + pack.lines()[6:]
    pack.put([line | {"seq": seq} for seq, line in enumerate(lines)])
    for name in ("payloads.jsonl", "absent.jsonl"):
        moved = [one | {"seq": one["seq"] - (one["seq"] > 5)} for one in pack.lines(name)]
        pack.put(moved, name)
    return pack


@attack("record_inserted")
def insert() -> Opened:
    pack = opened()
    lines = pack.lines()
    pack.put([*lines[:6], lines[5] | {"id": "never happened"}, *lines[6:]])
    return pack


@attack("record_inserted")
def insert_after_the_last_checkpoint() -> Opened:
    pack = opened()
    lines = pack.lines()
    pack.put([*lines, lines[5] | {"id": "never happened", "seq": len(lines)}])
    return pack


@attack("record_reordered")
def reorder() -> Opened:
    pack = opened()
    lines = pack.lines()
    pack.put([*lines[:4], lines[5], lines[4], *lines[6:]])
    return pack


@attack("records_altered")
def reorder_and_number_anew() -> Opened:
    pack = opened()
    lines = pack.lines()
    lines[4], lines[5] = lines[5] | {"seq": 4}, lines[4] | {"seq": 5}
    pack.put(lines)
    return pack


@attack("records_truncated", warnings=("coverage_edge",))
def truncate() -> Opened:
    pack = opened()
    pack.put(pack.lines()[:-1])
    return pack


@attack("range_incomplete", warnings=("coverage_edge",))
def truncate_to_an_older_checkpoint() -> Opened:
    pack = opened()
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
def replay_a_record() -> Opened:
    log = a_log()
    again = log.records[5]
    log.append(again.body, controls=again.controls, identity=again.id, time_ms=again.time_ms)
    log.seal()
    return Opened.of(log)


@attack("pack_outdated")
def replay_an_old_pack() -> Opened:
    log = a_log()
    pack = Opened.of(log)
    log.minute()
    pack.checkpoint = log.checkpoints[-1].note
    return pack


@attack("records_altered", "record_foreign")
def swap_the_tenant_of_a_record() -> Opened:
    pack = opened()
    lines = pack.lines()
    lines[5]["tenant"] = OTHER_TENANT
    pack.put(lines)
    return pack


@attack("key_untrusted", "manifest_forged")
def give_the_pack_of_another_tenant() -> Opened:
    other = EvidenceLog(tenant=OTHER_TENANT, signer=LocalSigner.numbered(9))
    other.minute(begins=True)
    pack = Opened.of(other)
    pack.keys = opened().keys
    return pack


@attack("records_altered")
def edit_the_time_of_a_record() -> Opened:
    pack = opened()
    lines = pack.lines()
    lines[5]["time_ms"] += 1_000
    pack.put(lines)
    return pack


@attack("record_postdated")
def seal_what_has_not_happened() -> Opened:
    log = a_log()
    log.append(span(500), time_ms=log.now_ms + 60 * MINUTE_MS)
    log.seal()
    return Opened.of(log)


# what is not shown


@attack("record_hidden", warnings=("withheld",))
def hide_a_record_behind_its_hash() -> Opened:
    pack = opened()
    lines = pack.lines()
    [hashed] = pack.log.hashes.read([NodeId(0, 5)])
    lines[5] = {"count": 1, "first": 5, "hash": b64encode(hashed).decode()}
    pack.put(lines)
    return pack


@attack("coverage_gap")
def leave_an_interval_out() -> Opened:
    log = a_log()
    log.now_ms += MINUTE_MS
    log.minute()
    return Opened.of(log)


@attack("coverage_overlap")
def count_an_interval_twice() -> Opened:
    log = a_log()
    log.now_ms -= MINUTE_MS
    log.minute()
    return Opened.of(log)


@attack("record_postdated")
def account_for_the_future() -> Opened:
    log = a_log()
    end_ms = log.now_ms
    log.minute()
    coverage = log.records[-1].body
    assert isinstance(coverage, Coverage)
    ahead = replace(coverage, from_ms=log.now_ms, to_ms=log.now_ms + 60 * MINUTE_MS)
    log.append(ahead, controls=[CONTROL], time_ms=log.now_ms)
    log.seal()
    return Opened.of(log, log.pack(log.head(query=Query(BEGIN_MS, end_ms))))


@attack("coverage_impossible", "records_altered")
def count_more_verdicts_than_judgements() -> Opened:
    pack = opened()
    lines = pack.lines()
    coverage = next(one for one in reversed(lines) if one["kind"] == "coverage")["body"]
    coverage["violated"] = coverage["judged"]
    pack.put(lines)
    return pack


@attack("range_incomplete", warnings=("coverage_edge",))
def ask_for_more_than_was_sealed() -> Opened:
    pack = opened()
    query = pack.value("pack.json")["query"]
    pack.edit("pack.json", query=query | {"to_ms": query["to_ms"] + MINUTE_MS})
    return pack


@attack("range_incomplete")
def begin_the_range_too_late() -> Opened:
    log = a_log(minutes=9)
    head = log.head(first=7, query=Query(BEGIN_MS + 7 * MINUTE_MS, log.now_ms))
    pack = Opened.of(log, log.pack(head))
    pack.edit("pack.json", first=8)
    return pack


# checkpoints and keys


@attack("checkpoint_forged")
def edit_the_size_of_a_checkpoint() -> Opened:
    pack = opened()
    pack.checkpoint_edit(2, b"\n8\n", b"\n7\n")
    return pack


@attack("checkpoint_forged")
def edit_the_root_of_a_checkpoint() -> Opened:
    pack = opened()
    root = b64encode(pack.checkpoint_at(2).root)
    pack.checkpoint_edit(2, root, b64encode(bytes(32)))
    return pack


@attack("checkpoint_forged")
def edit_the_time_of_a_checkpoint() -> Opened:
    pack = opened()
    pack.checkpoint_edit(2, b"time_ms 1", b"time_ms 2")
    return pack


@attack("checkpoint_foreign")
def swap_the_tenant_of_a_checkpoint() -> Opened:
    other = EvidenceLog(tenant=OTHER_TENANT)
    other.seal()
    pack = opened()
    pack.files["checkpoints/000002.note"] = other.checkpoints[0].note
    return pack


@attack("checkpoint_disordered")
def put_an_older_checkpoint_last() -> Opened:
    pack = opened()
    number = len(pack.log.checkpoints) + 1
    pack.files[f"checkpoints/{number:06}.note"] = pack.files["checkpoints/000004.note"]
    return pack


@attack("key_retired")
def sign_by_the_old_key() -> Opened:
    pack = opened()
    pack.resign(len(pack.log.checkpoints), LocalSigner.numbered(1))
    return pack


@attack("key_unknown")
def sign_by_a_wrong_key() -> Opened:
    pack = opened()
    pack.resign(len(pack.log.checkpoints), STRANGER)
    return pack


@attack("key_revoked")
def sign_by_a_revoked_key() -> Opened:
    log = a_log()
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
def make_everything_anew_with_another_key() -> Opened:
    log = EvidenceLog(signer=STRANGER)
    log.minute(begins=True)
    pack = Opened.of(log)
    pack.keys = opened().keys
    return pack


@attack("key_untrusted", "key_endorsement", "manifest_forged")
def let_another_key_follow() -> Opened:
    log = a_log()
    pinned = [log.verifier_key()]
    forged = b64encode(bytes(64)).decode()
    log.append(KeyChange(KeyEvent.ROTATED, log.verifier_key(STRANGER), forged))
    log.signer = STRANGER
    log.minute()
    pack = Opened.of(log)
    pack.keys = pinned
    return pack


@attack("key_contradicted")
def let_the_old_key_count_for_longer() -> Opened:
    pack = opened()
    keys = pack.value("keys.json")
    keys[0]["retired"] = None
    pack.files["keys.json"] = canonical_plain(keys)
    pack.resign(len(pack.log.checkpoints), LocalSigner.numbered(1), pack.log.signer)
    return pack


@attack("consistency_broken")
def edit_a_proof_of_consistency() -> Opened:
    pack = opened()
    proofs = pack.lines("consistency.jsonl")
    proofs[1]["hashes"][0] = b64encode(bytes(32)).decode()
    pack.put(proofs, "consistency.jsonl")
    return pack


@attack("consistency_broken")
def leave_a_proof_of_consistency_out() -> Opened:
    pack = opened()
    pack.put(pack.lines("consistency.jsonl")[1:], "consistency.jsonl")
    return pack


@attack("fork")
def fork() -> Opened:
    pack = opened()
    pack.files["checkpoints/000002.note"] = _another_history().checkpoints[1].note
    return pack


@attack("fork")
def fork_before_whoever_has_seen_the_other_side() -> Opened:
    pack = opened()
    pack.checkpoint = _another_history().checkpoints[1].note
    return pack


# files


@attack("file_altered")
def change_a_file_and_not_the_manifest() -> Opened:
    pack = opened()
    pack.files["README.txt"] += b"Trust me.\n"
    pack.remanifests = False
    return pack


@attack("file_missing")
def leave_a_file_out() -> Opened:
    pack = opened()
    del pack.files["suppressions.jsonl"]
    return pack


@attack("file_unexpected")
def add_a_file_outside() -> Opened:
    pack = opened()
    pack.files["../../outside"] = b"#!/bin/sh\n"
    return pack


@attack("record_malformed")
def write_a_record_in_another_way() -> Opened:
    pack = opened()
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(b'"policy":0', b'"policy": 0', 1)
    return pack


@attack("record_malformed")
def give_a_record_one_key_twice() -> Opened:
    pack = opened()
    pack.files["log.jsonl"] = pack.files["log.jsonl"].replace(
        b'"policy":0', b'"policy":0,"policy":0', 1
    )
    return pack


@attack("commitment_mismatch")
def edit_a_payload() -> Opened:
    pack = opened()
    pack.files["payloads.jsonl"] = pack.files["payloads.jsonl"].replace(b"person-0", b"person-1", 1)
    return pack


@attack("payload_missing")
def leave_a_payload_out() -> Opened:
    pack = opened()
    pack.put(pack.lines("payloads.jsonl")[1:], "payloads.jsonl")
    return pack


@attack("payload_unexpected")
def add_a_payload() -> Opened:
    pack = opened()
    payloads = pack.lines("payloads.jsonl")
    pack.put([payloads[0] | {"seq": 1}, *payloads], "payloads.jsonl")
    return pack


@attack("rule_altered")
def edit_the_text_of_a_rule() -> Opened:
    pack = opened()
    pack.files["rules.jsonl"] = pack.files["rules.jsonl"].replace(b"always", b"never ", 1)
    return pack


@attack("file_malformed")
def give_two_texts_of_a_rule() -> Opened:
    pack = opened()
    [rule] = pack.lines("rules.jsonl")
    pack.put([rule | {"text": "when { a } never { b }"}, rule], "rules.jsonl")
    return pack


@attack("consistency_broken")
def leave_a_checkpoint_out() -> Opened:
    pack = opened()
    del pack.files["checkpoints/000002.note"]
    return pack


@attack("rule_missing")
def leave_the_text_of_a_rule_out() -> Opened:
    pack = opened()
    pack.put([], "rules.jsonl")
    return pack


@attack("population_mismatch")
def edit_the_population() -> Opened:
    pack = opened()
    pack.edit("population.json", by_verdict={})
    pack.recounts = False
    return pack


@attack("coverage_mismatch")
def edit_the_sums_of_coverage() -> Opened:
    pack = opened()
    rows = pack.value("coverage.json")
    rows[0]["violated"] = 0
    pack.files["coverage.json"] = canonical_plain(rows)
    pack.recounts = False
    return pack


@attack("population_mismatch", warnings=("withheld",))
def show_what_was_not_asked_for() -> Opened:
    log = a_log()
    head = log.head(
        disclosure=Disclosure.SELECTED, query=Query(BEGIN_MS, log.now_ms, controls=(CONTROL,))
    )
    pack = Opened.of(log, log.pack(head))
    lines = pack.lines()
    at = next(i for i, line in enumerate(lines) if line.get("count") == 1)
    shown = next(line for line in opened().lines() if line["seq"] == lines[at]["first"])
    lines[at] = shown
    pack.put(lines)
    return pack


def _another_history() -> EvidenceLog:
    """Return a log of the same tenant and key that tells something else from record 1 on."""
    log = EvidenceLog()
    log.append(span(77))
    log.minute(begins=True)
    log.minute(violated=0, spans=0)
    return log
