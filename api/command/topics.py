"""`betrace topics`: create the Kafka topics, and check those that exist."""

from __future__ import annotations

from typing import Annotated

import typer

from api.kafka.topics import KafkaUnavailable, TopicAdmin, TopicNames, TopicsWrong, topic_specs
from api.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The Kafka topics of this installation.")

_Replication = Annotated[
    int, typer.Option(help="Replicas of each topic; -1 leaves it to the brokers' default.")
]


@app.command()
def create(replication: _Replication = -1) -> None:
    """Create the topics that are missing, then check them all."""
    settings = load_settings()
    specs = topic_specs(TopicNames(settings.topic_prefix))
    try:
        with TopicAdmin(settings.kafka) as admin:
            for name in admin.create(specs, replication=replication):
                typer.echo(f"created {name}")
            admin.check(specs)
    except (KafkaUnavailable, TopicsWrong) as error:
        raise _failed(error) from error


@app.command()
def check() -> None:
    """Check that topics exist and are set as verdicts need it. Exit 1 where they are not."""
    settings = load_settings()
    specs = topic_specs(TopicNames(settings.topic_prefix))
    try:
        with TopicAdmin(settings.kafka) as admin:
            admin.check(specs)
    except (KafkaUnavailable, TopicsWrong) as error:
        raise _failed(error) from error
    typer.echo(f"all {len(specs)} topics are as they must be")


def _failed(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(1)
