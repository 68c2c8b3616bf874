"""`make test-faults`: every fault by itself, and a table of what each did."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from deploy.embedded.stack import Stack
from tests.fault.faults import FAULTS, Fault
from tests.fault.installation import RECOVERY_S, Installation
from tests.fault.table import FaultRow
from tests.support.flow import CLOSED_S, Flow, Flowing
from tests.support.job import wait_for

pytestmark = [pytest.mark.fault, pytest.mark.matrix]

RATE = 500


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted_violations_are_all_that_is_signalled(
    fault: Fault, stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    stack.wait_ready(*stack.settings.components)
    at = Installation(stack, fault.lifetimes)
    flow = Flow(at.tenant.id, rate=RATE)
    at.post_rules(flow)
    sender = fault.sender(at.export)
    flowing = Flowing(flow, sender.send)
    at.recovers_from(lambda: None)
    recovery_s = at.recovers_from(lambda: fault.strike(at))
    planted = flowing.finish()
    sender.close()
    certain = at.certain(planted)
    wait_for(
        lambda: set(at.violated_rows()) >= set(certain),
        "all planted violations in the database",
        timeout_s=RECOVERY_S,
    )
    time.sleep(CLOSED_S)  # a wrong signal would come when the last traces are closed
    lost = at.loss.spans if at.loss else 0
    wait_for(
        lambda: at.accounts().received >= at.sent - lost and not at.accounts().still_open,
        "every span in the accounts, and none of them open",
        timeout_s=RECOVERY_S,
    )
    rows = at.certain(at.violated_rows()) + at.false_after_loss(planted)
    record_property("row", FaultRow.of(fault.name, recovery_s, certain, rows))
    assert at.accounts().unbalanced == 0
    assert rows == certain
    assert at.certain(at.violated_on_topic()) == certain
    fault.proof(at)
