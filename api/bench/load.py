"""The generating process: lays a load out as bytes and writes it to Kafka at a rate.

Started as `python -m api.bench.load` with settings as one line of JSON on standard input; then
one command a line, and one report a line on standard output. It ends when its input ends.

    → {"bootstrap": …, "topic": …, "load": {…}}        ← {"ready": true, …}
    → {"rate": 150000} | {"giant": true} | {"finish": true}
    ← {"at_ms": …, "sent": …, "cycles": …, "bytes": …, "queued": …, "cpu_s": …, "finished": …}

Heartbeats flow from the first moment to the last, so that event time goes on in every pause.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from queue import Empty, Queue
from threading import Thread
from typing import Any, TextIO

from api.bench.plan import LoadSettings, plan
from api.bench.schedule import Schedule
from api.bench.topic import HEARTBEAT_EVERY_S, SpansTopic
from api.bench.traffic import TrafficSettings

REPORT_EVERY_S = 0.2
_STEP_S = 0.005
_FLUSH_S = 60.0


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """What a generating process is started with; late_s: see `Schedule`."""

    bootstrap: str
    topic: str
    partitions: int
    late_s: float
    load: LoadSettings

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> GeneratorSettings:
        """Read what `to_json` wrote."""
        given: dict[str, Any] = json.loads(line)
        load: dict[str, Any] = given.pop("load")
        traffic = TrafficSettings(**load.pop("traffic"))
        return cls(load=LoadSettings(**load, traffic=traffic), **given)


@dataclass(slots=True)
class Generator:
    """Steps a schedule, writes what is due, beats, and reports."""

    schedule: Schedule
    topic: SpansTopic
    _beat_at: float = field(default=0.0)
    _report_at: float = field(default=0.0)

    def step(self) -> None:
        """Send what is due by now, then beat if it is time."""
        for payload, lane, spans in self.schedule.due(time.time_ns()):
            self.topic.write(payload, lane=lane, spans=spans)
            self._beat()
        self._beat()

    def obey(self, command: dict[str, Any]) -> None:
        """Carry out one command."""
        if "rate" in command:
            self.schedule.rate = float(command["rate"])
        if command.get("giant"):
            self.schedule.add_giant()
        if command.get("finish"):
            self.schedule.finish()

    def report(self) -> dict[str, Any] | None:
        """Return a report if it is time for one."""
        now = time.monotonic()
        if now < self._report_at:
            return None
        self._report_at = now + REPORT_EVERY_S
        schedule = self.schedule
        return {
            "at_ms": time.time_ns() // 1_000_000,
            "sent": schedule.sent,
            "bytes": schedule.sent_bytes,
            "cycles": schedule.cycles,
            "giants": schedule.giants,
            "giant_left": schedule.giant_left,
            "queued": self.topic.queued(),
            "cpu_s": time.process_time(),
            "finished": schedule.finished,
        }

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_EVERY_S
            self.topic.beat()


def main(commands: TextIO, reports: TextIO) -> None:
    """Run until the commands end."""
    settings = GeneratorSettings.from_json(commands.readline())
    load = plan(settings.load).load()
    topic = SpansTopic(
        bootstrap=settings.bootstrap,
        topic=settings.topic,
        tenant=settings.load.tenant,
        partitions=settings.partitions,
    )
    schedule = Schedule(load, late_ns=int(settings.late_s * 1e9))
    generator = Generator(schedule, topic)
    _say(reports, {"ready": True, "cycle_spans": load.whole.spans, "pid": os.getpid()})
    given: Queue[str] = Queue()
    Thread(target=_listen, args=(commands, given), daemon=True).start()
    while True:
        generator.step()
        said = generator.report()
        if said:
            _say(reports, said)
        with suppress(Empty):
            line = given.get(timeout=_STEP_S)
            if not line:
                break
            generator.obey(json.loads(line))
    topic.flush(timeout_s=_FLUSH_S)


def _listen(commands: TextIO, given: Queue[str]) -> None:
    """Pass every line on, and an empty one at the end of the input."""
    for line in commands:
        given.put(line)
    given.put("")


def _say(reports: TextIO, said: dict[str, Any]) -> None:
    reports.write(json.dumps(said) + "\n")
    reports.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
