"""A rules log in memory, which passes the same contract tests as Kafka's."""

from __future__ import annotations

from datetime import UTC, datetime

from api.rules.log import Appended, RulesLogUnavailable
from udfs.wire import betrace_pb2 as pb


class MemoryRulesLog:
    """Keeps its records; refuses while it is `down`."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.down = False

    def append(self, record: bytes) -> Appended:
        """Take a record at once. Raises RulesLogUnavailable."""
        if self.down:
            raise RulesLogUnavailable("stopped by the test")
        self.records.append(record)
        return Appended(len(self.records) - 1, datetime.now(UTC))

    def rule_records(self, tenant: str) -> list[pb.RuleVersion]:
        """Return a tenant's versions, in their order.

        The sweeper may append what other tenants left unpublished at any time.
        """
        messages = [pb.RuleLogRecord.FromString(record) for record in self.records]
        return [message.rule for message in messages if message.rule.tenant == tenant]

    def rules_of(self, tenant: str) -> list[tuple[str, int, int]]:
        """Return (rule id, version, state) of a tenant's records, in their order."""
        messages = [pb.RuleLogRecord.FromString(record) for record in self.records]
        return [
            (message.rule.rule_id, message.rule.version, message.rule.state)
            for message in messages
            if message.rule.tenant == tenant
        ]
