"""Settings of every test, and what the stacks that run say when one fails.

HYPOTHESIS_PROFILE=nightly tries ten times as many examples of every law as `make test` does.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.fault.table import fault_table
from tests.support import golden, matrix
from tests.support.attack_table import attack_table
from tests.support.stack import last_words, running_stacks

# A change is judged by the same examples each time; to look for new ones is the nightly's task.
settings.register_profile("standard", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "standard"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the file of a golden case, and to a failure the last words of the stacks that run."""
    report = yield
    golden.note(item, report)
    if report.failed:
        for stack in running_stacks():
            report.sections.append((f"logs of {stack.settings.home}", last_words(stack)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many golden cases ran, how many requests were judged, and what every fault and every
    attack on evidence did."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for line in (golden.summary(reports), matrix.summary(reports)):
        if line is not None:
            terminalreporter.write_line(line)
    for line in (*fault_table(reports), *attack_table(reports)):
        terminalreporter.write_line(line)
