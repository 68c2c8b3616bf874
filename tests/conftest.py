"""Stacks that tests share: each is started when the first test asks for it, once a run.

kafka   a broker alone
stack   everything: servers, ingest, worker, API and job

HYPOTHESIS_PROFILE=nightly tries ten times as many examples of every law as `make test` does.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from deploy.embedded.settings import APPS, SERVERS
from deploy.embedded.stack import Stack
from tests.support import golden
from tests.support.stack import last_words, running_stack

# A change is judged by the same examples each time; to look for new ones is the nightly's task.
settings.register_profile("standard", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "standard"))

_STACK = pytest.StashKey[dict[str, Stack]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STACK] = {}


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """A Kafka broker without topics; its address is `kafka.settings.kafka`."""
    with running_stack(["kafka"]) as stack:
        pytestconfig.stash[_STACK]["kafka"] = stack
        yield stack


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """The whole product on real servers; addresses and API key are in `stack.environment()`."""
    with running_stack([*SERVERS, *APPS]) as stack:
        pytestconfig.stash[_STACK]["stack"] = stack
        yield stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the file of a golden case, and the last words of the stacks a failed test used."""
    report = yield
    golden.note(item, report)
    if report.failed:
        used = getattr(item, "fixturenames", ())
        for name, stack in item.config.stash[_STACK].items():
            if name in used or (name == "stack" and "customer" in used):
                report.sections.append((f"logs of {name}", last_words(stack)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many golden cases of the language ran."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    line = golden.summary(reports)
    if line is not None:
        terminalreporter.write_line(line)
