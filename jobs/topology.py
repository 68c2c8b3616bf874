"""The shape of the job: what follows what. What each step does is decided in `udfs`.

spans ─► match ─► key by lane ─► correlate ─► outputs
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyflink.common import Configuration, Row, Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import DataTypes, Schema, StreamTableEnvironment

from jobs.configuration import job_configuration
from jobs.inscription import CARRIER
from jobs.settings import JobSettings
from jobs.tables import READ_SPANS, outputs_table, spans_table
from jobs.uids import name_operators
from udfs.flink.correlate import CorrelateFacts
from udfs.flink.lane_keys import LANE_KEYS
from udfs.flink.match import MatchSpans

ARGUMENTS_PARAMETER = "betrace.arguments"
"""Shown by Flink's REST interface (/jobs/:id/config): what the job was submitted with, as JSON."""


def build(
    settings: JobSettings,
    *,
    partitions: int,
    jars: Sequence[str] = (),
    passes_over_expired: bool = False,
    inscription: str = "",
) -> StreamExecutionEnvironment:
    """Return an environment that holds the whole job, ready to be executed.

    partitions: of the spans topic. jars: URIs of connectors, if they are not in Flink's lib.
    passes_over_expired: see `spans_table`. inscription: to stand in every snapshot.
    """
    configuration = Configuration()
    for option, value in job_configuration(settings).items():
        configuration.set_string(option, value)
    environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    if jars:
        environment.add_jars(*jars)
    environment.get_config().set_global_job_parameters(
        {ARGUMENTS_PARAMETER: json.dumps(settings.arguments())}
    )
    tables = StreamTableEnvironment.create(environment)
    rules = settings.rules_address
    value = Types.PRIMITIVE_ARRAY(Types.BYTE())

    tables.execute_sql(
        spans_table(settings, partitions=partitions, passes_over_expired=passes_over_expired)
    )
    spans = tables.to_data_stream(tables.sql_query(READ_SPANS))
    facts = (
        spans.process(
            MatchSpans(rules),
            # lane, facts, partition, offset
            Types.ROW([Types.INT(), value, Types.INT(), Types.LONG()]),
        )
        .name("match")
        .uid("match")
    )
    outputs = (
        facts.key_by(_lane_key, Types.INT())
        .process(
            CorrelateFacts(rules, topics=settings.output_topics),
            Types.ROW_NAMED(
                ["topic", "key", "value", "headers"],
                [Types.STRING(), value, value, Types.MAP(Types.STRING(), value)],
            ),
        )
        .name("correlate")
        .uid("correlate")
    )
    tables.execute_sql(outputs_table(settings))
    statements = tables.create_statement_set()
    statements.add_insert("outputs", tables.from_data_stream(outputs, _outputs_schema()))
    statements.attach_as_datastream()
    names = {CARRIER: inscription} if inscription else {}
    name_operators(environment._j_stream_execution_environment, names=names)
    return environment


def _lane_key(facts: Row) -> int:
    return LANE_KEYS[facts[0]]


def _outputs_schema() -> Schema:
    return (
        Schema.new_builder()
        .column("topic", DataTypes.STRING())
        .column("key", DataTypes.BYTES())
        .column("value", DataTypes.BYTES())
        .column("headers", DataTypes.MAP(DataTypes.STRING(), DataTypes.BYTES()))
        .build()
    )
