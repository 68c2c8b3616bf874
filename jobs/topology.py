"""The shape of the job: what follows what. What each step does is decided in `udfs`.

spans ─► match ─► key by lane ─► correlate ─► outputs
                                    ├─► key by lane ─► many-spans ─┬─► many_outputs
                                    │                              │        ▲
                                    └──────────────┬───────────────┘        │
                                              key by lane ─► many-signals ──┘

The two stages below are those of rules over many traces. They hang on side outputs that carry
nothing but what such rules ask for; where nobody has any, watermarks pass through them and nothing
else. They share a sink of their own: one for all would be a task of its own, and every signal of a
promise would wait for a buffer to be handed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyflink.common import Configuration, Row, Types
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import DataTypes, Schema, StreamTableEnvironment

from jobs.configuration import job_configuration
from jobs.inscription import CARRIER
from jobs.settings import JobSettings
from jobs.tables import MANY_OUTPUTS, OUTPUTS, READ_SPANS, outputs_table, spans_table
from jobs.uids import name_operators
from udfs.contributions import MANY_SIGNALS, MANY_SPANS
from udfs.flink.correlate import CorrelateFacts
from udfs.flink.lane_keys import LANE_KEYS
from udfs.flink.many import JudgeMany, element_type, said_to
from udfs.flink.match import MatchSpans
from udfs.flink.rules_log import RulesLogAddress

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
            MatchSpans(rules, partitions=partitions),
            # lane, facts, partition, offset
            Types.ROW([Types.INT(), value, Types.INT(), Types.LONG()]),
        )
        .name("match")
        .uid("match")
    )
    outputs = (
        facts.key_by(_lane_key, Types.INT())
        .process(CorrelateFacts(rules, topics=settings.output_topics), _output_type())
        .name("correlate")
        .uid("correlate")
    )
    of_spans = _judge_many(MANY_SPANS, [outputs], rules, settings)
    of_signals = _judge_many(MANY_SIGNALS, [outputs, of_spans], rules, settings)
    statements = tables.create_statement_set()
    for name, stream in ((OUTPUTS, outputs), (MANY_OUTPUTS, of_spans.union(of_signals))):
        tables.execute_sql(outputs_table(settings, name=name))
        statements.add_insert(name, tables.from_data_stream(stream, _outputs_schema()))
    statements.attach_as_datastream()
    names = {CARRIER: inscription} if inscription else {}
    name_operators(environment._j_stream_execution_environment, names=names)
    return environment


def _lane_key(facts: Row) -> int:
    lane: int = facts[0]
    return LANE_KEYS[lane]


def _judge_many(
    stage: str, speakers: Sequence[DataStream], rules: RulesLogAddress, settings: JobSettings
) -> DataStream:
    """Return the outputs of a stage that hears what the speakers say to it."""
    return (
        _keyed(stage, speakers)
        .process(JudgeMany(rules, stage=stage, topics=settings.output_topics), _output_type())
        .name(stage)
        .uid(stage)
    )


def _keyed(stage: str, speakers: Sequence[DataStream]) -> KeyedStream:
    """Return what is said to a stage, keyed by lane.

    What PyFlink's own `get_side_output` and `key_by` do, without the two Python operators that they
    put in between: rows leave the speakers as Row(key, element) already.
    """
    tag = said_to(stage).get_java_output_tag()
    first, *others = (speaker._j_data_stream.getSideOutput(tag) for speaker in speakers)
    said = DataStream(first)
    if others:
        said = said.union(*map(DataStream, others))
    key_type = Types.ROW([Types.INT()]).get_java_type_info()
    keyed = said._j_data_stream.keyBy(get_gateway().jvm.KeyByKeySelector(), key_type)
    return KeyedStream(keyed, element_type(), said)


def _output_type() -> TypeInformation:
    value = Types.PRIMITIVE_ARRAY(Types.BYTE())
    return Types.ROW_NAMED(
        ["topic", "key", "value", "headers"],
        [Types.STRING(), value, value, Types.MAP(Types.STRING(), value)],
    )


def _outputs_schema() -> Schema:
    return (
        Schema.new_builder()
        .column("topic", DataTypes.STRING())
        .column("key", DataTypes.BYTES())
        .column("value", DataTypes.BYTES())
        .column("headers", DataTypes.MAP(DataTypes.STRING(), DataTypes.BYTES()))
        .build()
    )
