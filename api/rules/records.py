"""The record of a rule version for the rules log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from api.rules.definitions import Definition
from api.rules.model import RuleState
from udfs.wire import betrace_pb2 as pb

_STATES = {
    RuleState.ACTIVE: pb.RULE_STATE_ACTIVE,
    RuleState.SHADOW: pb.RULE_STATE_SHADOW,
    RuleState.OFF: pb.RULE_STATE_OFF,
    RuleState.QUARANTINED: pb.RULE_STATE_QUARANTINED,
}


def rule_record(
    definition: Definition,
    numbers: Sequence[int],
    *,
    tenant_id: UUID,
    version: int,
    state: RuleState | None = None,
) -> bytes:
    """Return the serialized RuleLogRecord of a version.

    numbers: of the judged rule's predicates, in their order. state: None: as its owner wants.
    """
    rule, compiled = definition.object, definition.judging
    message = pb.RuleVersion(
        tenant=str(tenant_id),
        rule_id=definition.id,
        version=version,
        text=compiled.text,
        state=_STATES[state or definition.state],
        predicates=[
            pb.PredicateEntry(number=number, hash=predicate.hash)
            for number, predicate in zip(numbers, compiled.predicates, strict=True)
        ],
        name=rule.get("name") or definition.id,
        severity=rule["severity"],
        controls=rule.get("controls") or [],
        tags=rule.get("tags") or [],
        group_by=rule.get("group_by") or [],
        settle_ms=definition.settle_ms,
        on_incomplete=rule.get("on_incomplete") or "",
        language=compiled.language,
    )
    return pb.RuleLogRecord(rule=message).SerializeToString(deterministic=True)


def restated_record(record: bytes, *, version: int, state: RuleState) -> bytes:
    """Return the record of the version before, as that of one in another state."""
    message = pb.RuleLogRecord.FromString(record)
    message.rule.version = version
    message.rule.state = _STATES[state]
    return message.SerializeToString(deterministic=True)
