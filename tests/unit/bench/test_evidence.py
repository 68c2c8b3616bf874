"""The bench of the evidence log measures a log that is right."""

from __future__ import annotations

from api.bench.evidence import measure_evidence


def test_what_is_measured_is_a_valid_pack() -> None:
    said: list[str] = []
    figures = measure_evidence(records=25_000, say=said.append)
    assert (figures.valid, figures.records) == (True, 25_000)
    assert said[0] == "appending 25,000 records"
