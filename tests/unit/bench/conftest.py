"""A small load with everything in it, planned once."""

from __future__ import annotations

import pytest

from api.bench.plan import Load, LoadSettings, Plan, plan
from api.bench.traffic import TrafficSettings

TENANT = "3f0c6f4e-0000-4000-8000-444455556666"


@pytest.fixture(scope="session")
def settings() -> LoadSettings:
    return LoadSettings(
        tenant=TENANT,
        rules=40,
        chunk_spans=12_000,
        record_spans=100,
        giant_spans=2_000,
        traffic=TrafficSettings(breach_share=0.05, rootless_share=0.02, large_trace_share=0.001),
    )


@pytest.fixture(scope="session")
def planned(settings: LoadSettings) -> Plan:
    return plan(settings)


@pytest.fixture(scope="session")
def load(planned: Plan) -> Load:
    return planned.load()
