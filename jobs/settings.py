"""What the job is told when it is submitted: arguments, with the environment for defaults."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from udfs.flink.rules_log import RulesLogAddress

OUTPUTS = ("signals", "stats", "evidence", "dead-letters")
"""The engine's names of its outputs; each is a topic under the output prefix."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins when there is no checkpoint or savepoint to go on from.

    mode: "earliest", the oldest record that Kafka still has: for a first start, and for judging
    anew; "group", the offsets committed by the consumer group, refused if there are none or they
    have expired; "timestamp", the first records appended at or after a time.
    A start without state knows nothing of traces that were open. Where older records lie in the
    log, or have lain there, that is a gap: see `jobs.start`.
    """

    mode: str = "group"
    timestamp_ms: int = 0

    @classmethod
    def parse(cls, text: str) -> Start:
        """Read `earliest`, `group` or milliseconds since the epoch."""
        if text in ("earliest", "group"):
            return cls(text)
        if text.isdecimal():
            return cls("timestamp", int(text))
        raise ArgumentTypeError(f"{text!r} is none of earliest, group, milliseconds since 1970")


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Everything that the topology depends on, but for what Kafka says of its topics."""

    kafka: str
    input_prefix: str
    output_prefix: str
    group: str
    start: Start = Start()
    accept_gap: bool = False
    """Go on although spans were lost, and say so in the rules log."""
    parallelism: int = 1
    checkpoint_interval_ms: int = 10_000
    checkpoint_dir: str = ""
    bundle_size: int = 1_000
    bundle_time_ms: int = 100

    @property
    def spans_topic(self) -> str:
        """The topic of spans, sorted by lane."""
        return f"{self.input_prefix}.spans"

    @property
    def rules_topic(self) -> str:
        """The rules log."""
        return f"{self.input_prefix}.rules"

    @property
    def rules_address(self) -> RulesLogAddress:
        """Where the operators find the rules log."""
        return RulesLogAddress(self.kafka, self.rules_topic, reader=self.output_prefix)

    @property
    def output_topics(self) -> dict[str, str]:
        """The engine's names of its outputs to names of topics."""
        return {output: f"{self.output_prefix}.{output}" for output in OUTPUTS}

    def arguments(self) -> list[str]:
        """Return the arguments that give these settings again, but for where to start."""
        return [
            *("--kafka", self.kafka),
            *("--input-topic-prefix", self.input_prefix),
            *("--output-topic-prefix", self.output_prefix),
            *("--group", self.group),
            *("--parallelism", str(self.parallelism)),
            *("--checkpoint-interval-ms", str(self.checkpoint_interval_ms)),
            *("--checkpoint-dir", self.checkpoint_dir),
            *("--bundle-size", str(self.bundle_size)),
            *("--bundle-time-ms", str(self.bundle_time_ms)),
        ]

    @property
    def name(self) -> str:
        """The job's name in Flink."""
        return f"betrace detect ({self.output_prefix})"


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> JobSettings:
    """Read the job's settings. Exits with a message, as argparse does, on bad arguments."""
    given = _parser(environment).parse_args(arguments)
    input_prefix = given.input_topic_prefix or given.topic_prefix
    output_prefix = given.output_topic_prefix or given.topic_prefix
    return JobSettings(
        kafka=given.kafka,
        input_prefix=input_prefix,
        output_prefix=output_prefix,
        group=given.group or f"{output_prefix}.detect",
        start=given.start,
        accept_gap=given.accept_gap,
        parallelism=given.parallelism,
        checkpoint_interval_ms=given.checkpoint_interval_ms,
        checkpoint_dir=given.checkpoint_dir,
        bundle_size=given.bundle_size,
        bundle_time_ms=given.bundle_time_ms,
    )


def _parser(environment: Mapping[str, str]) -> ArgumentParser:
    parser = ArgumentParser(
        prog="jobs/detect.py",
        description="Judge the traces of a topic by the rules of a log.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--kafka", default=environment.get("BETRACE_KAFKA", "127.0.0.1:9092"))
    add("--topic-prefix", default=environment.get("BETRACE_TOPIC_PREFIX", "betrace"))
    add("--input-topic-prefix", default="", help="of .spans and .rules, if not --topic-prefix")
    add("--output-topic-prefix", default="", help="of the other topics, if not --topic-prefix")
    add("--group", default="", help="consumer group [<output prefix>.detect]")
    add(
        "--start",
        type=Start.parse,
        default=Start(),
        help="where to begin without a savepoint: earliest, group, or ms since 1970 [group]",
    )
    add(
        "--accept-gap",
        action="store_true",
        default=environment.get("BETRACE_ACCEPT_GAP", "") not in ("", "0"),
        help="go on although spans have expired that were not read; their traces are inconclusive",
    )
    add("--parallelism", type=_positive, default=1)
    add("--checkpoint-interval-ms", type=_positive, default=10_000)
    add("--checkpoint-dir", default="", help="URI, if not the cluster's")
    add("--bundle-size", type=_positive, default=1_000)
    add("--bundle-time-ms", type=_positive, default=100)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is not positive")
    return number
