"""A Java machine with Flink's own classes, to hold our tables against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyflink.java_gateway import get_gateway

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def jvm() -> Any:
    """Flink's classes, as py4j shows them."""
    return get_gateway().jvm


@pytest.fixture
def connector() -> str:
    """The URI of Flink's Kafka connector."""
    jars = sorted((ROOT / ".tools" / "jars" / "flink").glob("*.jar"))
    if not jars:
        pytest.fail("Flink's Kafka connector is not in .tools/jars/flink: run `make jars`")
    return jars[0].as_uri()
