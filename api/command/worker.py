"""`betrace worker`: carry signals, accounting and traces into Postgres."""

from __future__ import annotations

import typer

from api.evidence.checkpointing import Pace
from api.evidence.sequencer import SequencerSettings
from api.kafka.topics import TopicNames
from api.logs import configure_logging
from api.settings import Settings, load_settings
from api.worker.anchors import AnchorSettings
from api.worker.process import Worker, WorkerSettings, stop_on_signals


def run() -> None:
    """Carry signals, accounting and dead letters from Kafka into Postgres, and copy traces.

    Any number of replicas share the work. SIGTERM ends it in order; a part that dies by a bug
    ends the process with exit 1, for its supervisor to start it again.
    """
    settings = load_settings()
    configure_logging(settings.log_level)
    worker = Worker(
        WorkerSettings(
            database_dsn=settings.worker_dsn,
            keys=settings.keys,
            kafka=settings.kafka,
            topics=TopicNames(settings.topic_prefix),
            flink=settings.flink,
            metrics_port=settings.metrics_port,
            sampled_per_hour=settings.sampled_traces_per_hour,
            backtest_share=settings.backtest_share,
            evidence=_evidence(settings),
            anchors=AnchorSettings(
                keys=settings.keys,
                networks=settings.callable_networks,
                http=settings.outbound_http,
                mailer=settings.mailer,
            ),
        )
    )
    stop_on_signals(worker.stop)
    if not worker.run():
        raise typer.Exit(1)


def _evidence(settings: Settings) -> SequencerSettings | None:
    """Return what seals evidence, None without keys."""
    keys = settings.keys
    if keys is None:
        return None
    return SequencerSettings(
        database_dsn=settings.worker_dsn,
        keys=keys,
        site=settings.evidence_site,
        pace=Pace(settings.evidence_checkpoint_s * 1_000, settings.evidence_idle_s * 1_000),
    )
