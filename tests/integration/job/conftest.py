"""Kafka and a Flink cluster for the tests of the job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.embedded.stack import Stack
from tests.support.job import DEADLY, cancel_jobs
from tests.support.stack import running_stack
from udfs.flink.fault import VARIABLE


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """A running broker and cluster of two slots, supervised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, DEADLY)
        with running_stack(("kafka", "jobmanager", "taskmanager")) as stack:
            yield stack


@pytest.fixture(autouse=True)
def no_job_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a failed test leaves running would keep the slots of the next one."""
    yield
    if "stack" in request.fixturenames:
        cancel_jobs(request.getfixturevalue("stack"))
