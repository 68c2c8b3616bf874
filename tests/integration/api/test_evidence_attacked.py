"""Attacks on a real pack and on the real database: each is told of by both verifiers.

A real pack is one that the API exported of a log that the sequencer sealed in Postgres, with a time
stamp of OpenSSL's authority. The summary of the run has a table of what both said.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from api.database import open_pool
from api.evidence.packing import Asked, PackMaker
from api.problems import ApiError
from tests.support.attack_table import PROPERTY, attack_row
from tests.support.authority import Authority, served
from tests.support.evidence_attacks import ATTACKS, OLD
from tests.support.evidence_opened import Opened
from tests.support.evidence_tampering import TAMPERINGS, Owner, Tampering
from tests.support.evidence_verifiers import Case, assert_javascript_says, python_says
from tests.support.keys import local_keys
from tests.support.postgres import Database, Server
from tests.support.real_evidence import Real, sealed_stamped_and_exported
from tests.support.tenants import scope_of
from udfs.evidence import verify

STAMPS_RIGHT = "stamps_unverified"
"""What is told of stamps that are right, to whoever does not name their authority."""
WRITTEN_WITH_THE_TIME = {"pack.json", "manifest.json", "manifest.note"}


class Record(Protocol):
    """What notes a property of a test."""

    def __call__(self, name: str, value: object) -> None:
        """Note it."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A time-stamping authority."""
    return Authority.made_in(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def real(postgres: Server, authority: Authority) -> Iterator[Real]:
    """The log, and packs of it."""
    with served(authority) as tsa:
        yield asyncio.run(sealed_stamped_and_exported(postgres.database(), tsa))


def test_the_real_pack_is_valid_and_its_time_stamp_is_the_authoritys(
    real: Real, authority: Authority
) -> None:
    pack = real.packs["whole"]
    asked = verify.Asked(real.whole().keys, authority=authority.certificate)
    result = verify.verify(io.BytesIO(pack), asked)
    assert (result["failures"], result["warnings"], result["stamps"]) == ([], [], 1)
    assert result["population"]["by_kind"].keys() == {"act", "coverage", "key", "span", "verdict"}


def test_the_log_that_attacks_go_on_with_is_that_of_the_real_pack(real: Real) -> None:
    exported, rebuilt = real.whole().files, Opened.of(real.log()).files
    assert {name for name in exported if exported[name] != rebuilt.get(name)} == (
        WRITTEN_WITH_THE_TIME
    )
    assert exported.keys() == rebuilt.keys()


def test_every_attack_on_a_real_pack_fails_in_both_verifiers_for_its_own_reason(
    real: Real, tmp_path: Path, record_property: Record
) -> None:
    cases = [
        Case(name, opened.close(signed=True), opened.keys, b"", [], [*warnings, STAMPS_RIGHT])
        for name, opened, warnings in (
            ("nothing", real.whole(), []),
            ("nothing, of a later period", real.later(), []),
        )
    ]
    for attack in ATTACKS:
        opened = attack.make(real)
        stamped = not attack.on_stamp and any(name[:7] == "stamps/" for name in opened.files)
        cases.append(
            Case(
                name=attack.name,
                pack=opened.close(signed=True),
                keys=opened.keys,
                checkpoint=opened.checkpoint,
                failures=sorted(attack.reasons),
                warnings=sorted([*attack.warnings, *([STAMPS_RIGHT] if stamped else [])]),
            )
        )
    told = assert_told(cases, tmp_path)
    for name, (python, javascript) in told.items():
        record_property(PROPERTY, attack_row("an exported pack", name, python, javascript))
    assert len(told) > 55


def test_whoever_owns_the_database_is_found_out_by_both_verifiers(
    real: Real, postgres: Server, tmp_path: Path, record_property: Record
) -> None:
    first_key = [real.log().verifier_key(OLD)]
    cases, refused = [], {}
    for one in TAMPERINGS:
        pack = asyncio.run(exported_after(one, real, postgres.copy_of(real.database)))
        if isinstance(pack, ApiError):
            assert pack.code == one.refused, (one.name, pack.detail)
            refused[one.name] = [f"no pack: {pack.code}"]
            continue
        assert not one.refused, one.name
        stamped = "stamp_forged" not in one.reasons and b"stamps/" in pack
        cases.append(
            Case(
                name=one.name,
                pack=pack,
                keys=first_key,
                checkpoint=real.log().checkpoints[one.seen].note if one.seen is not None else b"",
                failures=sorted(one.reasons),
                warnings=sorted([*one.warnings, *([STAMPS_RIGHT] if stamped else [])]),
            )
        )
    told = assert_told(cases, tmp_path)
    for one in TAMPERINGS:
        python, javascript = told.get(one.name) or (refused[one.name], refused[one.name])
        record_property(PROPERTY, attack_row("the database", one.name, python, javascript))
    assert len(told) > 12


async def exported_after(one: Tampering, real: Real, database: Database) -> bytes | ApiError:
    """Do it to a copy of the database; return the pack that is exported then, or the refusal."""
    with psycopg.connect(database.admin) as connection:
        connection.execute("set session_replication_role = replica")
        one.change(Owner(database, real, connection))
    async with open_pool(database.app, size=2) as pool:
        maker = PackMaker(pool, local_keys(pool), dsn=database.app)
        try:
            made = await maker.make(scope_of(real.tenant), Asked(from_ms=real.like.begin_ms))
        except ApiError as error:
            return error
        return b"".join([piece async for piece in made.pieces()])


def assert_told(cases: Sequence[Case], folder: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Have both verifiers say what they must; return the failures that each told of, by case."""
    python = {case.name: python_says(case) for case in cases}
    assert python == {case.name: (case.failures, case.warnings) for case in cases}
    javascript = assert_javascript_says(cases, folder)
    return {name: (python[name][0], javascript[name]) for name in python}
