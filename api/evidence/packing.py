"""Packs of a tenant's log, as an auditor gets them.

A pack is written by a thread, over a connection of its own and within one snapshot, into a file
that is gone when it was read: whoever asks gets all of it or a refusal, and memory does not grow
with the log. That a pack was made is on the audit log.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, LiteralString, cast
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.evidence.hashes import found_of, places_of
from api.evidence.log_keys import LogSigner
from api.evidence.reading import key_history_up_to
from api.exports.places import ExportPlaces
from api.keyring.wiring import Keys
from api.problems import ApiError, unavailable
from udfs.evidence.commitments import Payload
from udfs.evidence.keys import parse_verifier_key
from udfs.evidence.malformed import Malformed
from udfs.evidence.pack import (
    AbsentPayload,
    Approval,
    Disclosure,
    LogKey,
    PackHead,
    Query,
    RuleText,
    SealedCheckpoint,
    Suppression,
    Why,
)
from udfs.evidence.pack_range import CLOCK_SKEW_MS
from udfs.evidence.pack_writer import CannotPack, PackParts, write_pack
from udfs.evidence.tree import NodeId
from udfs.keysource.trouble import KeysUnavailable, KeyTrouble

AT_ONCE: Final = 2
"""Packs that a process makes at once: each has a thread, a connection and an old snapshot."""
MOST_RECORDS: Final = 5_000_000
CHECKPOINTS: Final = 1_000
"""So many are between the range's borders and the newest, evenly: each is a file."""
GENERATOR: Final = "betrace"
_STATEMENT_MS: Final = 120_000
_ROWS: Final = 2_000
_PIECE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. from_ms, to_ms: None: from the beginning, up to the newest checkpoint.

    payloads: whether what is personal is in the pack.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    frameworks: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    disclosure: Disclosure = Disclosure.ALL
    payloads: bool = True


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was made: an open file at its beginning, to be closed by who reads it."""

    file: BinaryIO
    name: str
    size_bytes: int
    records: int

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield its bytes, then close it."""
        try:
            while piece := await asyncio.to_thread(self.file.read, _PIECE_BYTES):
                yield piece
        finally:
            self.file.close()


class PackMaker:
    """Makes packs, some at a time. dsn: of the application's role."""

    def __init__(self, pool: Pool, keys: Keys | None, *, dsn: str, at_once: int = AT_ONCE) -> None:
        self._pool = pool
        self._keys = keys
        self._dsn = dsn
        self._places = ExportPlaces(at_once, others="Other packs are being made")

    async def make(self, scope: TenantScope, asked: Asked) -> Pack:
        """Make a pack and put that on the audit log.

        Raises ApiError 400 for a period that ends before it begins, 409 while the period is not
        sealed or there is no log, 413 for more than MOST_RECORDS, 503 while too many are being made
        or no key signs.
        """
        plan = await self._plan(scope, asked)
        with self._places.taken():
            async with tenant_transaction(self._pool, scope) as connection:
                await record(
                    connection,
                    scope,
                    "evidence.exported",
                    f"tenant:{scope.tenant_id}",
                    **_told(plan),
                )
            # Closed, and so removed, by who reads it.
            file = cast("BinaryIO", tempfile.TemporaryFile(prefix="betrace-pack-"))  # noqa: SIM115
            try:
                population = await asyncio.to_thread(self._write, scope, plan, asked, file)
                size = file.tell()
                file.seek(0)
            except BaseException:
                file.close()
                raise
        name = f"betrace-evidence-{datetime.now(UTC):%Y%m%d-%H%M}.zip"
        return Pack(file, name, size, cast("int", population["records"]))

    async def _plan(self, scope: TenantScope, asked: Asked) -> _Plan:
        """Decide which records and checkpoints the pack spans, and who signs it."""
        if self._keys is None:
            raise _no_keys()
        ids = await self._key_ids(scope)
        async with tenant_transaction(self._pool, scope) as connection:
            newest = await queries("evidence").newest_checkpoint(connection)
            state = await queries("evidence").state(connection)
            if newest is None or state["origin"] is None:
                raise ApiError(409, "evidence.empty", "Nothing was sealed for this tenant yet.")
            keys = await key_history_up_to(connection, newest["size"])
            revoked = {
                key_id: one.revoked_since
                for one in keys
                if one.revoked_since is not None
                and (key_id := ids.get(_public_key(one))) is not None
            }
            of_keys: dict[str, Sequence[Any]] = {
                "revoked": list(revoked),
                "sizes": list(revoked.values()),
            }
            from_ms = asked.from_ms or 0
            to_ms = newest["time_ms"] if asked.to_ms is None else asked.to_ms
            if from_ms >= to_ms:
                raise ApiError(400, "request.range", "`from` must lie before `to`.")
            after = await queries("evidence").checkpoint_after(
                connection, time_ms=to_ms, newest=newest["number"], **of_keys
            )
            if after is None:
                raise ApiError(
                    409,
                    "evidence.not_sealed",
                    "The period is not sealed up to its end; the newest checkpoint is of "
                    f"{_moment(newest['time_ms'])}. Ask for an earlier end, or later.",
                )
            before = await queries("evidence").checkpoint_before(
                connection,
                time_ms=max(0, from_ms - CLOCK_SKEW_MS),
                newest=newest["number"],
                **of_keys,
            )
        first = before["size"] if before else 0
        if after["size"] - first > MOST_RECORDS:
            raise ApiError(
                413,
                "evidence.too_many",
                f"{after['size'] - first:,} records are in the range; a pack has at most "
                f"{MOST_RECORDS:,}. Ask for a shorter period.",
            )
        # The newest one signs for what the pack shows; a key that is revoked does not.
        signing = keys[-1]
        signer = await self._signer(scope.tenant_id, ids.get(_public_key(signing)))
        begin_number = before["number"] if before else 1
        return _Plan(
            origin=state["origin"],
            query=Query(from_ms, to_ms, asked.frameworks, asked.controls),
            first=first,
            end=after["size"],
            newest=newest["number"],
            size=newest["size"],
            begin_number=begin_number,
            named=(begin_number, after["number"], newest["number"]),
            of_keys=of_keys,
            keys=keys,
            signer=signer,
        )

    async def _key_ids(self, scope: TenantScope) -> dict[bytes, UUID]:
        """Return the ids of the tenant's signing keys by their public keys."""
        assert self._keys is not None
        try:
            records = await self._keys.care.all_of(scope.tenant_id)
        except KeysUnavailable as trouble:
            raise _no_signature(trouble) from trouble
        return {one.public_key: one.id for one in records if one.public_key is not None}

    async def _signer(self, tenant: UUID, key_id: UUID | None) -> LogSigner:
        assert self._keys is not None
        if key_id is None:
            raise ApiError(500, "evidence.damaged", "The key of the log is none of the tenant's.")
        try:
            return LogSigner(await self._keys.ring.endorser(tenant, key_id))
        except KeyTrouble as trouble:
            raise _no_signature(trouble) from trouble

    def _write(
        self, scope: TenantScope, plan: _Plan, asked: Asked, file: BinaryIO
    ) -> Mapping[str, Any]:
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        head = PackHead(
            tenant=str(scope.tenant_id),
            origin=plan.origin,
            query=plan.query,
            disclosure=asked.disclosure,
            first=plan.first,
            end=plan.end,
            created_ms=now_ms,
            generator=GENERATOR,
        )
        with _snapshot(self._dsn, scope) as connection:
            reader = _Reader(connection, plan, asked, now_ms)
            try:
                return write_pack(file, head=head, parts=reader.parts(), signer=plan.signer)
            except LookupError as error:
                raise ApiError(
                    500, "evidence.damaged", f"A hash of the log is missing: {error}."
                ) from error
            except CannotPack as error:
                raise ApiError(
                    500, "evidence.damaged", f"The log is not as it was sealed: {error}."
                ) from error
            except KeyTrouble as trouble:
                raise _no_signature(trouble) from trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a pack spans. named: numbers of checkpoints that must be in it."""

    origin: str
    query: Query
    first: int
    end: int
    newest: int
    size: int
    begin_number: int
    named: tuple[int, ...]
    of_keys: Mapping[str, Sequence[Any]]
    keys: Sequence[LogKey]
    signer: LogSigner


class _Reader:
    """Reads the parts of a pack within one snapshot, none of them whole."""

    def __init__(
        self, connection: psycopg.Connection[DictRow], plan: _Plan, asked: Asked, now_ms: int
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._asked = asked
        self._now_ms = now_ms
        query = plan.query
        self._values = {
            "first": plan.first,
            "end": plan.end,
            "size": plan.size,
            "everything": asked.disclosure is Disclosure.ALL,
            "from_ms": query.from_ms,
            "to_ms": query.to_ms,
            "kinds": list(query.kinds),
            "controls": list(query.controls),
            "frameworks": list(query.frameworks),
        }

    def parts(self) -> PackParts:
        """Return the parts; what is long is read while it is written."""
        return PackParts(
            records=self._lines(),
            hashes=self,
            checkpoints=self._checkpoints(),
            keys=self._plan.keys,
            payloads=self._payloads(),
            absent=self._absent(),
            rules=[_rule(row) for row in self._rows("rules_for_pack")],
            suppressions=[_suppression(row) for row in self._rows("suppressions_for_pack")],
        )

    def read(self, nodes: Sequence[NodeId]) -> list[bytes]:
        """Return the hashes of full subtrees (`udfs.evidence.proofs.Hashes`)."""
        return found_of(self._rows("hashes", **places_of(nodes))).read(nodes)

    def _lines(self) -> Iterator[bytes]:
        for row in self._stream("lines_for_pack"):
            yield row["line"]

    def _checkpoints(self) -> list[SealedCheckpoint]:
        plan = self._plan
        step = max(1, (plan.newest - plan.begin_number) // CHECKPOINTS + 1)
        rows = self._rows(
            "checkpoints_for_pack",
            first=plan.begin_number,
            newest=plan.newest,
            named=list(plan.named),
            step=step,
            **plan.of_keys,
        )
        return [SealedCheckpoint(row["note"].encode(), row["stamp"] or b"") for row in rows]

    def _payloads(self) -> Iterator[tuple[int, Payload]]:
        for row in self._stream("payloads_for_pack"):
            if row["salt"] is not None and self._asked.payloads:
                yield row["seq"], Payload(row["payload"], row["salt"])

    def _absent(self) -> Iterator[AbsentPayload]:
        for row in self._stream("payloads_for_pack"):
            if row["salt"] is None:
                yield AbsentPayload(row["seq"], Why.ERASED, row["erased_ms"], row["act_seq"])
            elif not self._asked.payloads:
                yield AbsentPayload(row["seq"], Why.REDACTED, self._now_ms)

    def _stream(self, name: str) -> Iterator[DictRow]:
        """Yield the rows of a statement, a part in memory at a time."""
        with self._connection.cursor(name=name, row_factory=dict_row) as rows:
            rows.itersize = _ROWS
            rows.execute(_statement(name), self._values, binary=True)
            yield from rows

    def _rows(self, name: str, **values: Any) -> list[DictRow]:
        given = {**self._values, **values}
        return self._connection.execute(_statement(name), given, binary=True).fetchall()


def _public_key(key: LogKey) -> bytes:
    parsed = parse_verifier_key(key.verifier_key)
    return b"" if isinstance(parsed, Malformed) else parsed.public_key


def _rule(row: DictRow) -> RuleText:
    return RuleText(
        id=row["rule_id"],
        version=row["version"],
        text=row["text"],
        controls=tuple(row["controls"]),
        approvals=(Approval(row["author"], row["at_ms"]),),
    )


def _suppression(row: DictRow) -> Suppression:
    said = row["exception"]
    return Suppression(
        rule=row["rule_id"],
        where=str(said.get("where") or ""),
        reason=str(said.get("reason") or ""),
        owner=str(said.get("owner") or ""),
        until_ms=_until_ms(said.get("until")),
        signals=row["signals"],
    )


def _until_ms(until: object) -> int:
    """Return when an exception ends, as its rule has it (a date or a time); 0: it does not."""
    if not isinstance(until, str) or not until:
        return 0
    at = datetime.fromisoformat(until)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


@contextmanager
def _snapshot(dsn: str, scope: TenantScope) -> Iterator[psycopg.Connection[DictRow]]:
    """Open a transaction that reads the rows of one tenant as they are at one moment."""
    with psycopg.connect(
        dsn, application_name="betrace-api pack", connect_timeout=5, row_factory=dict_row
    ) as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute(
            "select set_config('app.tenant_id', %s, true), set_config('app.actor', %s, true),"
            " set_config('statement_timeout', %s, true)",
            [str(scope.tenant_id), scope.actor, str(_STATEMENT_MS)],
        )
        yield connection
        connection.rollback()


def _statement(name: str) -> LiteralString:
    """Return the text of a statement of sql/queries/evidence.sql."""
    return cast("LiteralString", getattr(queries("evidence"), name).sql)


def _told(plan: _Plan) -> dict[str, Any]:
    return {
        "from": _moment(plan.query.from_ms),
        "to": _moment(plan.query.to_ms),
        "frameworks": " ".join(plan.query.frameworks) or None,
        "controls": " ".join(plan.query.controls) or None,
        "first": plan.first,
        "end": plan.end,
    }


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _no_keys() -> ApiError:
    return ApiError(
        409, "evidence.no_keys", "This installation has no keys to sign with, and seals nothing."
    )


def _no_signature(trouble: KeyTrouble) -> ApiError:
    return unavailable(
        "evidence.unsigned",
        f"The pack cannot be signed now ({trouble.what}): try again in a minute.",
        retry_after_s=60,
    )
