"""One stack for all faults, on which every fault has a tenant of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.embedded.settings import APPS, SERVERS
from deploy.embedded.stack import Stack
from tests.support.job import DEADLY
from tests.support.stack import running_stack
from udfs.flink.fault import VARIABLE


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The whole product on real servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, DEADLY)
        with running_stack((*SERVERS, *APPS)) as stack:
            yield stack
