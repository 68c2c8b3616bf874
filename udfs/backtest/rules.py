"""The rule book of a backtest: rules that are given, in force from ever, and the tenant's settings
and the gaps of the rules log, which decide how long traces live and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from udfs.many_rules import ManyRule
from udfs.rulebook import ACTIVATION_MS, LifeSettings, Rule, RuleBook
from udfs.wire import betrace_pb2 as wire

_FROM_EVER_MS = -ACTIVATION_MS
"""Append time of a record that takes effect at 0."""


class RuleRefused(Exception):
    """A given rule cannot be judged by this build; the message says which and why."""


class LogEntry(NamedTuple):
    """A record of the rules log that a backtest heeds."""

    append_ms: int
    record: bytes


def heeded(records: Iterable[LogEntry], *, tenant: str) -> list[LogEntry]:
    """Return the records of the rules log that are no rules: settings of the tenant, gaps, records
    of the tenant that were passed over, and keys that it forgot."""
    return [entry for entry in records if _is_heeded(entry.record, tenant=tenant)]


def _is_heeded(record: bytes, *, tenant: str) -> bool:
    try:
        message = wire.RuleLogRecord.FromString(record)
    except DecodeError:
        return False
    kind = message.WhichOneof("kind")
    of_tenant = {
        "tenant": message.tenant.tenant,
        "death": message.death.tenant,
        "forgetting": message.forgetting.tenant,
    }
    return kind == "gap" or of_tenant.get(kind or "") == tenant


class GivenRules:
    """The rules of one side of a backtest, as a book that the engine reads."""

    def __init__(self, rules: Sequence[bytes], log: Sequence[LogEntry], *, tenant: str) -> None:
        """rules: RuleLogRecords of rules of the tenant. log: what `heeded` returned.

        Raises RuleRefused.
        """
        self.tenant = tenant
        self.book = RuleBook()
        given = [LogEntry(_FROM_EVER_MS, record) for record in rules]
        for offset, entry in enumerate((*given, *log)):
            self.book.add(entry.record, append_ms=entry.append_ms, offset=offset)
        self.rules: tuple[Rule, ...] = self.book.in_force(tenant, 0)
        many = self.book.many_in_force(tenant, 0)
        self.many: tuple[ManyRule, ...] = () if many is None else tuple(many.rules)
        for (_, rule_id, version), reason in self.book.broken.items():
            raise RuleRefused(f"rule {rule_id}, version {version}: {reason}")
        self._rules, self._log = tuple(rules), tuple(log)

    def as_of(self, time_ms: int) -> GivenRules:
        """Return the same rules, activated under the settings that are in force at a time.

        A version of a rule over many traces lives by the settings of its activation.
        """
        known = [entry for entry in self._log if _is_settings(entry.record)]
        before = [entry for entry in known if entry.append_ms + ACTIVATION_MS <= time_ms]
        return GivenRules(
            self._rules,
            [LogEntry(_FROM_EVER_MS, entry.record) for entry in (before[-1:] or known[:1])],
            tenant=self.tenant,
        )

    def settings_at(self, time_ms: int) -> LifeSettings:
        """Return the settings of the tenant in force at a time."""
        return self.book.settings(self.tenant, time_ms)

    def settings_since(self, time_ms: int) -> tuple[LifeSettings, ...]:
        """Return the settings of the tenant in force at a time or later."""
        changes_ms = (entry.append_ms + ACTIVATION_MS for entry in self._log)
        times_ms = (time_ms, *(change_ms for change_ms in changes_ms if change_ms > time_ms))
        return tuple({self.book.settings(self.tenant, at_ms): None for at_ms in times_ms})


def _is_settings(record: bytes) -> bool:
    return wire.RuleLogRecord.FromString(record).HasField("tenant")
