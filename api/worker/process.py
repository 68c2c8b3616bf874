"""The worker as a process: its threads, their beginning and their end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from api.evidence.acts import offer_acts
from api.evidence.coverage import CoverageFeeder
from api.evidence.sequencer import SequencerSettings, run_sequencer
from api.job.figures import Kafka, read_figures
from api.job.flink import Flink
from api.kafka.topics import TopicNames
from api.keyring.config import KeyConfig
from api.worker.accounting import AccountingWriter
from api.worker.anchors import AnchorKeeper, AnchorSettings
from api.worker.backtests.keeper import BacktestKeeper
from api.worker.backtests.process import RunnerSettings
from api.worker.compliance import ComplianceWriter
from api.worker.copier import Copier
from api.worker.database import connect
from api.worker.health import Health, serve
from api.worker.intake import Intake
from api.worker.job_watch import JobWatch
from api.worker.letters import LetterBox
from api.worker.metrics import Metrics
from api.worker.redaction import Letters, WorkerRedactors
from api.worker.retention import Retention
from api.worker.sampler import PER_HOUR, Sampler
from api.worker.signals import SignalWriter
from api.worker.spans_log import SpansLog
from api.worker.sums import SumKeeper

_FAREWELL_S = 20.0
"""How long a thread may take to finish what it has in hand."""
_ACCOUNTING_LINGER_S = 1.0
"""Accounting is for looking at: large batches cost less, and of several revisions in a batch only
the newest is written."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the worker needs to know."""

    database_dsn: str
    """Of role betrace_worker."""
    keys: KeyConfig | None
    """Sources of tenants' keys, None: there are none."""
    kafka: str
    topics: TopicNames
    flink: str = ""
    """Address of the cluster that runs the job; empty: nobody watches it from here."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    """0: no metrics."""
    copied_at_once: int = 100
    """So many traces of a rule and hour are copied without delay, others in idle time."""
    copier_share: float = 0.25
    """The share of one core that the copier may use."""
    sampled_per_hour: int = PER_HOUR
    """Ordinary traces of each tenant that are stored in an hour; 0: none."""
    backtest_share: float = 0.5
    """The share of one core that backtests may use, in a process of their own; 0: none run here."""
    evidence: SequencerSettings | None = None
    """What seals evidence; None: there are no keys to sign it with, and none is made."""
    anchors: AnchorSettings | None = None
    """None: nobody hands checkpoints over here."""


class Worker:
    """All parts of one replica. `run` returns when it was told to stop or a part has died."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Put the parts together; nothing is connected yet."""
        self.stop = threading.Event()
        self.metrics = Metrics()
        self.health = Health(self.metrics)
        self._settings = settings
        topics = settings.topics
        letters = Letters()
        letter_box = LetterBox(settings.kafka, topics.dead_letters, letters)
        intake = partial(
            Intake,
            kafka=settings.kafka,
            letters=letter_box,
            metrics=self.metrics,
            health=self.health,
            stop=self.stop,
        )
        dsn = settings.database_dsn
        self.signals = intake(
            name=f"{topics.prefix}.worker.signals",
            topics=[topics.signals],
            writer=SignalWriter(
                copied_at_once=settings.copied_at_once, evidence=settings.evidence is not None
            ),
            connect=partial(connect, dsn, name="betrace worker signals"),
        )
        self.accounting = intake(
            name=f"{topics.prefix}.worker.accounting",
            topics=[topics.stats, topics.dead_letters],
            writer=AccountingWriter(topics.stats, topics.dead_letters, letters),
            connect=partial(connect, dsn, name="betrace worker accounting"),
            linger_s=_ACCOUNTING_LINGER_S,
        )
        self.redactors = WorkerRedactors(dsn, settings.keys)
        self.compliance = intake(
            name=f"{topics.prefix}.worker.evidence",
            topics=[topics.evidence],
            writer=ComplianceWriter(self.redactors.versioned),
            connect=partial(connect, dsn, name="betrace worker evidence"),
        )
        self.copier = Copier(
            log=SpansLog(settings.kafka, topics.spans),
            redact=self.redactors.spans,
            connect=partial(connect, dsn, name="betrace worker copier"),
            metrics=self.metrics,
            health=self.health,
            stop=self.stop,
            share=settings.copier_share,
            may_idle=lambda: self.signals.caught_up,
        )
        self.sampler = Sampler(
            log=SpansLog(settings.kafka, topics.spans),
            redact=self.redactors.spans,
            connect=partial(connect, dsn, name="betrace worker sampler"),
            stop=self.stop,
            per_hour=settings.sampled_per_hour,
        )
        self.backtests = BacktestKeeper(
            RunnerSettings(
                database_dsn=dsn,
                kafka=settings.kafka,
                topic_prefix=topics.prefix,
                share=settings.backtest_share,
            ),
            connect=partial(connect, dsn, name="betrace worker backtests"),
            stop=self.stop,
        )
        self.retention = Retention(
            connect=partial(connect, dsn, name="betrace worker retention"),
            metrics=self.metrics,
            stop=self.stop,
        )
        self.sums = SumKeeper(
            connect=partial(connect, dsn, name="betrace worker sums"), stop=self.stop
        )
        self.anchors = (
            AnchorKeeper(settings.anchors, dsn=dsn, registry=self.metrics.registry, stop=self.stop)
            if settings.anchors
            else None
        )
        self.job_watch = JobWatch(
            read=partial(
                read_figures,
                Flink(settings.flink),
                Kafka(settings.kafka, topics),
                topic_prefix=topics.prefix,
            ),
            connect=partial(connect, dsn, name="betrace worker job"),
            registry=self.metrics.registry,
            stop=self.stop,
        )

    def run(self) -> bool:
        """Work until `stop` is set. False when a part ended by a bug: start the process again."""
        server = None
        if self._settings.metrics_port:
            server = serve(
                self.health,
                self.metrics,
                alarms=lambda: self.job_watch.alarms,
                host=self._settings.metrics_host,
                port=self._settings.metrics_port,
            )
        threads = [self._thread(name, part) for name, part in self._parts().items()]
        log.info("worker.started", kafka=self._settings.kafka, topics=self._settings.topics.prefix)
        self.stop.wait()
        for thread in threads:
            thread.join(_FAREWELL_S)
        if server is not None:
            server.shutdown()
        self.redactors.close()
        left = [thread.name for thread in threads if thread.is_alive()]
        log.info("worker.stopped", unfinished=left)
        return self.health.live

    def _parts(self) -> dict[str, Callable[[], None]]:
        """Return the bodies of the threads by name."""
        parts = {
            "signals": self.signals.run,
            "accounting": self.accounting.run,
            "compliance": self.compliance.run,
            "copier": self.copier.run,
            "retention": self.retention.run,
            "sums": self.sums.run,
        }
        if self._settings.evidence is not None:
            parts["evidence"] = partial(
                run_sequencer,
                self._settings.evidence,
                registry=self.metrics.registry,
                stop=self.stop,
                feeders=(offer_acts, CoverageFeeder()),
            )
        if self._settings.sampled_per_hour:
            parts["sampler"] = self.sampler.run
        if self._settings.backtest_share:
            parts["backtests"] = self.backtests.run
        if self.anchors is not None:
            parts["anchors"] = self.anchors.run
        if self._settings.flink:
            parts["job"] = self.job_watch.run
        return parts

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(name, work), name=name, daemon=True)
        thread.start()
        return thread

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # the rim: a bug in one part ends the process, visibly
            log.exception("worker.died", part=name)
            self.health.died(name)
            self.stop.set()


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT end the process in order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
