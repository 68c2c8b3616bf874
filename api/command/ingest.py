"""`betrace ingest`: take spans in over OTLP, and from Kafka if asked to."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from api.ingest.limits import IngestLimits
from api.ingest.serve import CannotListen, ServeOptions, serve
from api.ingest.stored_keys import open_stored_keys
from api.kafka.topics import TopicsWrong
from api.logs import configure_logging
from api.settings import load_settings


def run(
    from_kafka: Annotated[
        bool,
        typer.Option(
            "--from-kafka",
            help="Also read what Collectors' Kafka exporters wrote to <prefix>.raw.<tenant id>.",
        ),
    ] = False,
) -> None:
    """Take spans in over OTLP/HTTP and OTLP/gRPC until stopped."""
    settings = load_settings()
    configure_logging(settings.log_level)
    _ = (
        settings.app_dsn,
        settings.pepper,
        settings.keys,
    )  # missing: told now, not with the first request
    options = ServeOptions(
        kafka=settings.kafka,
        topic_prefix=settings.topic_prefix,
        host=settings.otlp_host,
        http_port=settings.otlp_http_port,
        grpc_port=settings.otlp_grpc_port,
        metrics_port=settings.metrics_port,
        from_kafka=from_kafka,
        proxies=settings.proxies,
        redis=settings.redis,
    )
    try:
        serve(options, IngestLimits(), partial(open_stored_keys, settings))
    except (TopicsWrong, CannotListen) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
