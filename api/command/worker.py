"""`betrace worker`: carry signals, accounting and traces into Postgres."""

from __future__ import annotations

import typer

from api.kafka.topics import TopicNames
from api.logs import configure_logging
from api.settings import load_settings
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
            backtest_share=settings.backtest_share,
        )
    )
    stop_on_signals(worker.stop)
    if not worker.run():
        raise typer.Exit(1)
