"""The bench of lists asks about evidence that is there."""

from __future__ import annotations

import pytest

from api.bench import evidence_lists
from api.bench.evidence_lists import measure_lists
from tests.support.postgres import Database

pytestmark = pytest.mark.integration


def test_each_question_finds_what_it_is_about(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_lists, "_REPEATS", 1)
    monkeypatch.setattr(evidence_lists, "_FEW", 1)
    figures = measure_lists(
        admin_dsn=database.admin,
        worker_dsn=database.worker,
        app_dsn=database.app,
        records=2_000,
        say=lambda _: None,
    )
    found = {one.question: one.found for one in figures.questions}
    assert found["newest 50"] == 2_001  # the key of the log is a record too
    assert found["50 verdicts of a rule"] == 12
    assert found["50 of a service"] == 60
    assert found["a word that few say"] == 1
    assert found["a word that nobody says"] == 0
    assert (found["a word that most say"] or 0) > 1_000
    assert found["1,000 verified and put on record"] == 300
    assert found["quiet controls"] is None
