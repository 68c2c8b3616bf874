"""The bench of signals asks for signals that are there, stored as the worker's role may."""

from __future__ import annotations

import pytest

from api.auth.principal import grant_scope
from api.bench.signals import measure_signals
from tests.support.postgres import Database

pytestmark = pytest.mark.integration


def test_each_request_is_answered_about_what_was_stored(database: Database) -> None:
    figures = measure_signals(
        admin_dsn=database.admin,
        app_dsn=database.app,
        worker_dsn=database.worker,
        scope_of=lambda tenant: grant_scope(tenant, actor="test"),
        signals=3_000,
        calls=1,
        say=lambda _: None,
    )
    items = {request.name: request.items for request in figures.requests}
    assert (items["counts, all"], items["counts, nothing"]) == (3_000, 0)
    assert 0 < items["counts, critical, open"] < items["counts, critical"] < 3_000
    assert items["list, by oldest"] == items["list, all"] == 50
