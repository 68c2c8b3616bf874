"""The golden verdicts of the language in Flink: every case a tenant of its own, all in one run.

Time is real here, so it is compressed: what arrives after ten seconds in a suite arrives after two,
and traces settle five times as fast. What the language says is asked for the times at which the
broker took the spans in, so that nothing hangs on how punctually they were sent.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

import pytest

import dsl
from deploy.embedded.stack import Stack
from dsl.life import Arrival, LifeSettings, state_at
from dsl.objects import RuleTest
from dsl.spans import Span
from dsl.traces import duration_ns, span_from_fields
from tests.support.job import RunningJob, wait_for
from tests.support.logs import (
    LogRecord,
    SpansWriter,
    create_topics,
    judge,
    read_log,
    write_rules,
)
from tests.support.whole_traces import TRACE_ID, record_of
from tests.unit.udfs.test_golden_verdicts import OTHERWISE, cases
from udfs.lanes import lane_of
from udfs.rulebook import ACTIVATION_MS
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

FASTER = 5
NS_PER_MS = 1_000_000
LIVES_MS = {"settle": 2_000, "patience": 12_000, "max_life": 720_000, "lateness": 120_000}
"""Those of a suite, five times as fast."""
PLAYED_MS = 25_000
"""Cases in which something is to be said later are left to the engine with time by hand."""
LONGEST_WINDOW_MS = 10_000
END_MS = PLAYED_MS + LIVES_MS["patience"] + LIVES_MS["settle"]
CATCH_UP_S = 180


@dataclass(frozen=True)
class Case:
    """One test of a suite as a tenant. parts: spans by when they are sent, in ms."""

    test: RuleTest
    tenant: str
    parts: tuple[tuple[int, tuple[Span, ...]], ...]

    @property
    def lane(self) -> int:
        """The lane of its one trace."""
        return lane_of(self.tenant, TRACE_ID)

    @property
    def settle_ms(self) -> int:
        """How long its rule settles, 0: as its tenant."""
        return (self.test.settle_ns or 0) // NS_PER_MS // FASTER

    def moments_ms(self) -> list[int]:
        """Return when something is expected of it, and the end."""
        timed = (one.at_ns for one in self.test.expect if one.at_ns is not None)
        return [*(at_ns // NS_PER_MS // FASTER for at_ns in timed), END_MS]

    def is_short(self) -> bool:
        """Tell whether all of it happens while the test lasts."""
        rule = dsl.check(self.test.rule).promise
        assert rule is not None
        last_ms = max([*(at_ms for at_ms, _ in self.parts), *self.moments_ms()[:-1]], default=0)
        waits_ms = max(rule.needs.window_ns // NS_PER_MS, self.settle_ms)
        return last_ms <= PLAYED_MS and waits_ms <= LONGEST_WINDOW_MS

    def rules_log(self) -> Iterable[bytes]:
        """Yield the records of the rules log."""
        settings = wire.TenantSettings(
            tenant=self.tenant,
            **{f"{name}_ms": life_ms for name, life_ms in LIVES_MS.items()},
            external_roots=self.test.external_roots,
        )
        yield wire.RuleLogRecord(tenant=settings).SerializeToString()
        compiled = dsl.check(self.test.rule).rule
        assert compiled is not None
        version = wire.RuleVersion(
            tenant=self.tenant,
            rule_id="rule",
            version=1,
            text=self.test.rule,
            state=wire.RULE_STATE_ACTIVE,
            severity="high",
            language=1,
            settle_ms=self.settle_ms,
            on_incomplete=self.test.on_incomplete or "",
        )
        numbers: dict[int, int] = {}
        for predicate in compiled.predicates:
            number = numbers.setdefault(predicate.hash, len(numbers))
            version.predicates.add(number=number, hash=predicate.hash)
        yield wire.RuleLogRecord(rule=version).SerializeToString()

    def said_by_the_language(self, times_ms: Sequence[int]) -> list[str]:
        """Return the verdict at every moment, of spans that were taken in at these times."""
        rule = dsl.check(self.test.rule).promise
        assert rule is not None
        settle_ms = max(LIVES_MS["settle"], self.settle_ms)
        settings = LifeSettings(
            settle_ns=settle_ms * NS_PER_MS,
            patience_ns=LIVES_MS["patience"] * NS_PER_MS,
            max_life_ns=LIVES_MS["max_life"] * NS_PER_MS,
            lateness_ns=LIVES_MS["lateness"] * NS_PER_MS,
            on_incomplete=self.test.on_incomplete,
            external_roots=self.test.external_roots,
        )
        arrivals = [
            Arrival(time_ms * NS_PER_MS, span)
            for time_ms, (_, spans) in zip(times_ms, self.parts, strict=True)
            for span in spans
        ]
        return [
            state_at(rule, arrivals, settings, at_ns=(times_ms[0] + at_ms) * NS_PER_MS).verdict
            for at_ms in self.moments_ms()
        ]

    def said_by_the_stream(
        self, signals: Iterable[wire.Signal], times_ms: Sequence[int]
    ) -> list[str | None]:
        """Return what was said last by every moment, None: nothing."""
        said = sorted(
            (one.judged_ms, one.revision, wire.Verdict.Name(one.verdict)) for one in signals
        )
        found = []
        for at_ms in self.moments_ms():
            by_then = [word for judged_ms, _, word in said if judged_ms <= times_ms[0] + at_ms]
            found.append(by_then[-1].removeprefix("VERDICT_").lower() if by_then else None)
        return found


def golden_cases() -> list[Case]:
    """Return the tests of the suites that can be played in real time.

    Those of which the stream is known to say something else (OTHERWISE) are looked at elsewhere.
    """
    found = []
    for number, parameters in enumerate(cases()):
        test: RuleTest = parameters.values[0]
        case = Case(test, str(uuid5(NAMESPACE_OID, f"{number} {test.name}")), parts_of(test))
        if test.name not in OTHERWISE and case.parts and case.is_short():
            found.append(case)
    return found


def parts_of(test: RuleTest) -> tuple[tuple[int, tuple[Span, ...]], ...]:
    """Return the spans of a test by when they arrive, five times as fast."""
    by_time: dict[int, list[Span]] = {}
    for place, fields in enumerate(test.trace):
        at_ms = duration_ns(fields.get("arrives", 0), field="arrives") // NS_PER_MS // FASTER
        by_time.setdefault(at_ms, []).append(span_from_fields(fields, position=place))
    return tuple((at_ms, tuple(spans)) for at_ms, spans in sorted(by_time.items()))


def send(writer: SpansWriter, played: Sequence[Case]) -> None:
    """Send the spans of all cases, each at its time."""
    begin_s = time.time()
    due = sorted(
        (at_ms, case.tenant, case.lane, spans) for case in played for at_ms, spans in case.parts
    )
    for at_ms, tenant, lane, spans in due:
        time.sleep(max(0.0, begin_s + at_ms / 1e3 - time.time()))
        payload = record_of(spans, at_ms=0, offset=0).payload
        writer.write(payload, tenant=tenant, lane=lane, spans=len(spans))


def times_of(spans: Iterable[LogRecord]) -> Mapping[str, list[int]]:
    """Return by tenant when the broker took its records in."""
    found: dict[str, list[int]] = {}
    for record in spans:
        if record.value:
            found.setdefault(record.headers["tenant"].decode(), []).append(record.time_ms)
    return found


def by_tenant_of(written: Iterable[tuple[bytes, bytes]]) -> Mapping[str, list[wire.Signal]]:
    """Return signals by tenant."""
    found: dict[str, list[wire.Signal]] = defaultdict(list)
    for _, value in written:
        signal = wire.Signal.FromString(value)
        found[signal.tenant].append(signal)
    return found


def differences(
    played: Sequence[Case],
    by_tenant: Mapping[str, list[wire.Signal]],
    times: Mapping[str, list[int]],
) -> list[str]:
    """Return where the stream says something else than the language."""
    wrong = []
    for case in played:
        times_ms = times[case.tenant]
        expected = case.said_by_the_language(times_ms)
        found = case.said_by_the_stream(by_tenant[case.tenant], times_ms)
        # Of what was never violated nothing is said.
        agree = all(
            said == verdict or (said is None and verdict != "violated")
            for said, verdict in zip(found, expected, strict=True)
        )
        if not agree:
            wrong.append(f"{case.test.name}: {found}, and the language says {expected}")
    return wrong


def as_written_down(case: Case, signals: Iterable[wire.Signal], time_ms: int) -> bool:
    """Tell whether the stream says of a whole trace what its suite expects."""
    (said,) = case.said_by_the_stream(signals, [time_ms])
    wanted = case.test.expect[0].verdicts
    return said in wanted or (said is None and wanted != ("violated",))


def test_the_job_says_of_the_golden_cases_what_the_language_says(stack: Stack) -> None:
    kafka, played = stack.settings.kafka, golden_cases()
    assert len(played) > 600
    create_topics(kafka, "golden")
    write_rules(kafka, "golden.rules", [one for case in played for one in case.rules_log()])
    writer = SpansWriter(kafka, "golden.spans")
    with writer.heartbeats():
        job = RunningJob.submit(
            stack, "--topic-prefix", "golden", "--parallelism", "2", "--start", "earliest"
        )
        time.sleep(ACTIVATION_MS / 1e3)
        send(writer, played)
        writer.flush()
        times = times_of(read_log(kafka, "golden.spans"))
        over_ms = max(times_ms[0] for times_ms in times.values()) + END_MS
        time.sleep(max(0.0, over_ms / 1e3 + 1 - time.time()))

    def written() -> set[tuple[bytes, bytes]]:
        return {(r.key or b"", r.value) for r in read_log(kafka, "golden.signals")}

    expected = judge(read_log(kafka, "golden.rules"), read_log(kafka, "golden.spans"))
    wait_for(
        lambda: written() >= expected,
        "all signals",
        timeout_s=CATCH_UP_S,
        why=job.exceptions,
    )
    job.stop()
    assert written() == expected
    assert read_log(kafka, "golden.dead-letters") == []
    said = by_tenant_of(expected)
    assert differences(played, said, times) == []
    # What was written down of whole traces holds whenever they come.
    whole = [case for case in played if len(case.moments_ms()) == 1 and len(case.parts) == 1]
    assert len(whole) > 600
    assert [
        case.test.name
        for case in whole
        if not as_written_down(case, said[case.tenant], times[case.tenant][0])
    ] == []
