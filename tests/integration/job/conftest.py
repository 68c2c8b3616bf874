"""Kafka and a Flink cluster for the tests of the job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.embedded.settings import Ports, StackSettings
from deploy.embedded.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running broker and cluster of two slots, supervised."""
    home = tmp_path_factory.mktemp("job-stack")
    settings = StackSettings(
        home=home, ports=Ports.free(), components=("kafka", "jobmanager", "taskmanager")
    )
    stack = Stack(home, settings=settings)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
