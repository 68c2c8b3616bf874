"""Every source of keys behind a door that can be shut, and every record of keys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import hvac
import pytest

from api.database import open_pool
from api.keyring.shelf import PostgresShelf
from tests.support.gate import Gate, gate_before
from tests.support.kms import reachable_kms
from tests.support.postgres import Database, Server
from tests.support.tenants import make_tenant
from tests.support.vault_stand_in import TOKEN, running_stand_in
from udfs.keysource.aws import AwsKeys, open_kms
from udfs.keysource.local import LocalKeys
from udfs.keysource.masters import new_master, read_masters
from udfs.keysource.providers import VaultAccess
from udfs.keysource.shelf import KeyShelf, MemoryShelf
from udfs.keysource.source import KeySource
from udfs.keysource.vault_client import VaultClient
from udfs.keysource.vault_kv import VaultKvKeys
from udfs.keysource.vault_transit import VaultTransitKeys

PROVIDERS: Final = ("local", "aws", "vault-transit", "vault-transit-inside", "vault-kv")


@dataclass(frozen=True, slots=True)
class Provided:
    """A source. another: the same one as another process has it. rotated: as it is after its master
    key was rotated. without_rights: with credentials that are refused. gate: none where nothing can
    be away.
    """

    name: str
    source: KeySource
    another: Callable[[], KeySource]
    rotated: Callable[[UUID], KeySource]
    without_rights: Callable[[], KeySource] | None
    gate: Gate | None


@contextmanager
def local() -> Iterator[Provided]:
    text = new_master("m1")
    masters = read_masters(text, where="the test")

    def rotated(_: UUID) -> KeySource:
        return LocalKeys(read_masters(f"{text}\n{new_master('m2')}", where="the test"))

    yield Provided("local", LocalKeys(masters), lambda: LocalKeys(masters), rotated, None, None)


@contextmanager
def aws(url: str) -> Iterator[Provided]:
    with gate_before(url) as gate:
        client = open_kms("eu-central-1", gate.url)

        def new_key() -> str:
            return str(client.create_key()["KeyMetadata"]["Arn"])

        master = new_key()
        yield Provided(
            "aws",
            AwsKeys(client, master=master),
            lambda: AwsKeys(open_kms("eu-central-1", gate.url), master=master),
            lambda _: AwsKeys(client, master=new_key()),
            lambda: AwsKeys(client, master=f"{master[:-12]}000000000000"),
            gate,
        )


@contextmanager
def vault(name: str, url: str, token: str) -> Iterator[Provided]:
    with gate_before(url) as gate:

        def source(given: str = token) -> KeySource:
            client = VaultClient(VaultAccess(gate.url, given))
            if name == "vault-kv":
                return VaultKvKeys(client, folder="betrace-tests")
            return VaultTransitKeys(client, name="betrace-tests", signs=name.endswith("inside"))

        def rotated(tenant: UUID) -> KeySource:
            if name != "vault-kv":
                transit = hvac.Client(gate.url, token).secrets.transit
                transit.rotate_key(f"betrace-tests-{tenant}")
            return source()

        yield Provided(name, source(), source, rotated, lambda: source("wrong"), gate)


@pytest.fixture(scope="session")
def kms_server() -> Iterator[str]:
    """The address of moto's server."""
    with reachable_kms() as url:
        yield url


@pytest.fixture(scope="session")
def vault_server() -> Iterator[tuple[str, str]]:
    """Address and token of the Vault that VAULT_ADDR names, else of the stand-in."""
    if address := os.environ.get("VAULT_ADDR"):
        token = os.environ["VAULT_TOKEN"]
        _enable_transit(hvac.Client(address, token))
        yield address, token
        return
    with running_stand_in() as url:
        yield url, TOKEN


@pytest.fixture(params=PROVIDERS)
def provided(request: pytest.FixtureRequest) -> Iterator[Provided]:
    """Each source in turn."""
    if request.param == "local":
        made = local()
    elif request.param == "aws":
        made = aws(request.getfixturevalue("kms_server"))
    else:
        made = vault(request.param, *request.getfixturevalue("vault_server"))
    with made as source:
        yield source


@pytest.fixture(scope="package")
def shared_database(postgres: Server) -> Database:
    """One migrated database for these tests."""
    return postgres.database()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record of keys, and two tenants that may have some."""

    shelf: KeyShelf
    tenant: UUID
    other: UUID


@pytest.fixture(params=["memory", "postgres"])
async def recorded(request: pytest.FixtureRequest) -> AsyncIterator[Recorded]:
    """Each record in turn."""
    if request.param == "memory":
        yield Recorded(MemoryShelf(lambda: datetime.now(UTC)), uuid4(), uuid4())
        return
    database: Database = request.getfixturevalue("shared_database")
    async with open_pool(database.app, size=8) as pool:
        ours, theirs = await make_tenant(pool), await make_tenant(pool)
        yield Recorded(PostgresShelf(pool), ours.tenant_id, theirs.tenant_id)


def _enable_transit(client: hvac.Client) -> None:
    if "transit/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("transit")
