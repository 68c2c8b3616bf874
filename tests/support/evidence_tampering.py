"""What somebody who owns the database may do to a log in it, and what is told of it then.

They switch triggers off, and make leaves, nodes, root and sizes anew, so that the database fits
together; they do not hold the key that signs, unless it says so. What is exported afterwards is
verified, by somebody who may have kept a checkpoint from before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import psycopg

from api.evidence.sealing import LOWEST_LEVEL
from tests.support.evidence import LocalSigner
from tests.support.evidence_attacks import OLD, OTHER_TENANT, STRANGER, another_history
from tests.support.postgres import Database
from tests.support.real_evidence import Real
from tests.support.stored_evidence import store_log
from udfs.evidence.tree import Frontier, leaf_hash

_SEQ = re.compile(rb'"seq":[0-9]+,"tenant"')
_OF_A_LOG = (
    *("records", "controls", "coverage", "nodes", "checkpoints", "payloads", "logs"),
    *("services", "days", "totals", "coverage_days"),
    *("texts", "text_records", "text_days"),
)


@dataclass(frozen=True)
class Owner:
    """The owner of a copy of the database."""

    database: Database
    real: Real
    connection: psycopg.Connection

    def runs(self, statement: str, *values: object) -> None:
        """Run a statement about the tenant; its first placeholder is the tenant."""
        self.connection.execute(statement.encode(), [self.real.tenant, *values])

    def rows(self) -> list[tuple[int, bytes]]:
        """Return the number and the bytes of each record."""
        found = self.connection.execute(
            "select seq, line from evidence_records where tenant_id = %s order by seq",
            [self.real.tenant],
        )
        return found.fetchall()

    def put(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Make a log of these rows: numbers, leaves, nodes, root and size as they follow.

        Each is the record whose other columns and payload it takes, and its bytes.
        """
        lines = [_numbered(line, seq) for seq, (_, line) in enumerate(rows)]
        tenant = self.real.tenant
        run = self.connection.execute
        for name in ("records", "payloads"):
            run(f"create temporary table was_{name} as table evidence_{name}".encode())
        run("alter table evidence_records drop constraint evidence_records_once")
        for name in ("records", "payloads", "nodes"):
            run(f"delete from evidence_{name} where tenant_id = %s".encode(), [tenant])
        for seq, ((was, _), line) in enumerate(zip(rows, lines, strict=True)):
            run(
                "insert into evidence_records select tenant_id, %s, kind,"
                " convert_from(%s::bytea, 'UTF8')::jsonb ->> 'id', time_ms, sealed_ms, controls,"
                " outcome, rule_id, rule_version, trace_id, policy, has_payload, %s, %s"
                " from was_records where tenant_id = %s and seq = %s",
                [seq, line, leaf_hash(line), line, tenant, was],
            )
        places = {was: seq for seq, (was, _) in reversed(list(enumerate(rows)))}
        run(
            "insert into evidence_payloads select tenant_id, n.seq, payload, salt, erased_at,"
            " erased_by, act_id from was_payloads w"
            " join unnest(%s::bigint[], %s::bigint[]) as n (was, seq) on n.was = w.seq"
            " where tenant_id = %s",
            [list(places), list(places.values()), tenant],
        )
        self._tree(lines)

    def _tree(self, lines: Sequence[bytes]) -> None:
        frontier, tenant = Frontier(), self.real.tenant
        for line in lines:
            for node, hashed in frontier.append(leaf_hash(line)):
                if node.level >= LOWEST_LEVEL:
                    self.connection.execute(
                        "insert into evidence_nodes values (%s, %s, %s, %s)",
                        [tenant, node.level, node.number, hashed],
                    )
        self.connection.execute(
            "update evidence_logs set size = %s, root = %s, edge = %s where tenant_id = %s",
            [len(lines), frontier.root(), b"".join(frontier.edge), tenant],
        )

    def newest_is_signed_by(self, signer: LocalSigner) -> None:
        """Let another key sign the newest checkpoint."""
        heads = self.real.log().heads
        note = str(heads[-1].sign([signer]))
        self.runs(
            "update evidence_checkpoints set note = n.note"
            " from (select %s::uuid as tenant_id, %s::bigint as number, %s::text as note) n"
            " where evidence_checkpoints.tenant_id = n.tenant_id"
            " and evidence_checkpoints.number = n.number",
            len(heads),
            note,
        )


Change = Callable[[Owner], None]


@dataclass(frozen=True)
class Tampering:
    """What is done, and the reasons for which the pack that is exported then must fail.

    refused: the export itself refuses, with this code, and there is no pack. seen: which of
    the log's checkpoints whoever verifies has kept from before.
    """

    name: str
    reasons: frozenset[str]
    change: Change
    warnings: frozenset[str]
    refused: str
    seen: int | None


TAMPERINGS: list[Tampering] = []


def tampering(
    *reasons: str, warnings: tuple[str, ...] = (), refused: str = "", seen: int | None = None
) -> Callable[[Change], Change]:
    """Put it into the table, by the name of the function that does it."""

    def enter(change: Change) -> Change:
        name = change.__name__.replace("_", " ").strip()
        TAMPERINGS.append(
            Tampering(name, frozenset(reasons), change, frozenset(warnings), refused, seen)
        )
        return change

    return enter


# records


@tampering("records_altered")
def flip_in_the_row_alone(owner: Owner) -> None:
    owner.runs(
        "update evidence_records set line = convert_to(replace(convert_from(line, 'UTF8'),"
        " '\"login\"', '\"logio\"'), 'UTF8') where tenant_id = %s and seq = %s",
        _first(owner, "span"),
    )


@tampering("records_altered")
def flip(owner: Owner) -> None:
    rows = owner.rows()
    seq = _first(owner, "span")
    rows[seq] = (seq, rows[seq][1].replace(b'"login"', b'"logio"'))
    owner.put(rows)


@tampering(refused="evidence.damaged")
def delete_a_row_alone(owner: Owner) -> None:
    owner.runs("delete from evidence_records where tenant_id = %s and seq = 12")


@tampering("records_altered")
def delete_and_put_another_at_the_end(owner: Owner) -> None:
    rows = owner.rows()
    seq = _first(owner, "span", after=_LAST_KEY)
    gone = rows.pop(seq)
    owner.put([*rows, (seq, _other_id(gone[1]))])


@tampering("records_altered", warnings=("coverage_edge",))
def insert(owner: Owner) -> None:
    rows = owner.rows()
    seq = _first(owner, "span", after=_LAST_KEY)
    owner.put([*rows[:seq], (seq, _other_id(rows[seq][1])), *rows[seq:]])


@tampering(refused="evidence.damaged")
def exchange_the_bytes_of_two_rows(owner: Owner) -> None:
    owner.runs(
        "update evidence_records r set line = o.line from evidence_records o"
        " where o.tenant_id = r.tenant_id and r.tenant_id = %s and r.seq in (12, 13)"
        " and o.seq = 25 - r.seq"
    )


@tampering("records_altered")
def reorder(owner: Owner) -> None:
    rows = owner.rows()
    rows[4], rows[5] = rows[5], rows[4]
    owner.put(rows)


@tampering(refused="evidence.damaged")
def truncate_the_records_alone(owner: Owner) -> None:
    owner.put(owner.rows()[:-1])


@tampering("pack_outdated", seen=-1)
def truncate_records_and_checkpoints(owner: Owner) -> None:
    log = owner.real.log()
    owner.put(owner.rows()[: log.heads[-2].size])
    owner.runs(
        "delete from evidence_checkpoints where tenant_id = %s and number = %s", len(log.heads)
    )


@tampering("records_altered", "record_replayed")
def replay_a_record_in_the_place_of_another(owner: Owner) -> None:
    rows = owner.rows()
    seq = _first(owner, "span", after=_LAST_KEY)
    later = _first(owner, "span", after=seq)
    rows[later] = rows[seq]
    owner.put(rows)


@tampering("records_altered", "record_foreign")
def swap_the_tenant_of_a_record(owner: Owner) -> None:
    rows = owner.rows()
    tenant = owner.real.like.tenant.encode()
    rows[5] = (5, rows[5][1].replace(tenant, OTHER_TENANT.encode()))
    owner.put(rows)


@tampering("records_altered", "coverage_gap")
def hide_an_interval_of_coverage(owner: Owner) -> None:
    rows = owner.rows()
    span = _first(owner, "span", after=_LAST_KEY)
    rows[_first(owner, "coverage", after=_LAST_KEY)] = (span, _other_id(rows[span][1]))
    owner.put(rows)


@tampering("fork", seen=1)
def fork_with_the_first_key(owner: Owner) -> None:
    for name in _OF_A_LOG:
        owner.runs(f"delete from evidence_{name} where tenant_id = %s")
    owner.connection.commit()
    store_log(owner.database, another_history(owner.real))


# checkpoints, keys and stamps


@tampering("checkpoint_forged")
def edit_the_time_of_a_checkpoint(owner: Owner) -> None:
    owner.runs(
        "update evidence_checkpoints set note = replace(note, 'time_ms 1', 'time_ms 2')"
        " where tenant_id = %s and number = 2"
    )


@tampering("checkpoint_forged")
def flip_and_write_the_root_of_it_into_the_checkpoint(owner: Owner) -> None:
    rows, heads = owner.rows(), owner.real.log().heads
    seq = _first(owner, "span", after=heads[-2].size)
    rows[seq] = (seq, rows[seq][1].replace(b'"login"', b'"logio"'))
    owner.put(rows)
    owner.runs(
        "update evidence_checkpoints c"
        " set note = replace(c.note, encode(c.root, 'base64'), encode(l.root, 'base64')),"
        " root = l.root"
        " from evidence_logs l where l.tenant_id = c.tenant_id and l.tenant_id = %s"
        " and c.size = l.size"
    )


@tampering("key_retired")
def sign_by_the_old_key(owner: Owner) -> None:
    owner.newest_is_signed_by(OLD)


@tampering("key_unknown")
def sign_by_a_wrong_key(owner: Owner) -> None:
    owner.newest_is_signed_by(STRANGER)


@tampering(refused="evidence.damaged")
def let_another_key_follow(owner: Owner) -> None:
    rows = owner.rows()
    log = owner.real.log()
    real, forged = log.verifier_key().encode(), log.verifier_key(STRANGER).encode()
    rows[_LAST_KEY] = (_LAST_KEY, rows[_LAST_KEY][1].replace(real, forged))
    owner.put(rows)


@tampering("stamp_forged")
def edit_a_time_stamp(owner: Owner) -> None:
    [(answer,)] = owner.connection.execute("select answer from anchors").fetchall()
    at = answer.index(b"\x18\x0f20") + 2
    edited = answer[:at] + b"2099" + answer[at + 4 :]
    owner.runs(
        "update anchors set answer = n.answer from (select %s::uuid as tenant_id,"
        " %s::bytea as answer) n where anchors.tenant_id = n.tenant_id",
        edited,
    )


# what stands beside the log


@tampering("commitment_mismatch")
def edit_a_payload(owner: Owner) -> None:
    owner.runs(
        "update evidence_payloads set payload = replace(payload, 'person-0', 'person-1')"
        " where tenant_id = %s and erased_at is null and seq = (select max(seq) from"
        " evidence_payloads p where p.erased_at is null)"
    )


@tampering("rule_altered")
def edit_the_text_of_a_rule(owner: Owner) -> None:
    owner.runs(
        "update rule_versions set text = replace(text, 'always', 'never ') where tenant_id = %s"
    )


_LAST_KEY = 8
"""The record of the key that follows the first."""


def _first(owner: Owner, kind: str, *, after: int = -1) -> int:
    """Return the number of the first record of a kind; of spans, that has no payload."""
    found = owner.connection.execute(
        "select min(seq) from evidence_records"
        " where tenant_id = %s and kind = %s and not has_payload and seq > %s",
        [owner.real.tenant, kind, after],
    ).fetchone()
    assert found is not None
    seq: int = found[0]
    return seq


def _numbered(line: bytes, seq: int) -> bytes:
    return _SEQ.sub(b'"seq":%d,"tenant"' % seq, line)


def _other_id(line: bytes) -> bytes:
    """Return a record with the id of something that never happened."""
    fresh = sha256(line).hexdigest()[:32].encode()
    return re.sub(rb'"id":"[0-9a-f]{32}","kind"', b'"id":"%s","kind"' % fresh, line)
