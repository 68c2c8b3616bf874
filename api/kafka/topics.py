"""Names and settings of BeTrace's topics, their creation and the check at start-up.

The settings are part of the system's correctness: verdicts are a function of the broker's clock,
so `.spans` and `.rules` must carry append time, and a trace lies in one of exactly 32 partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from udfs.lanes import PARTITIONS
from udfs.payload import MAX_BYTES

_DAY_MS = 24 * 60 * 60 * 1000
_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
MAX_MESSAGE_BYTES = MAX_BYTES
POLICY_HEADER = "policy"
"""Of records of spans: the version of the policy of redaction that `ingest` applied; none: it was
not `ingest` that wrote the record, or it was told to redact nothing.
"""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics of one installation, told apart from others by a prefix."""

    prefix: str

    @property
    def spans(self) -> str:
        """Spans as taken in: one tenant and one lane a record."""
        return f"{self.prefix}.spans"

    @property
    def rules(self) -> str:
        """The rules log: one partition, kept for ever."""
        return f"{self.prefix}.rules"

    @property
    def signals(self) -> str:
        """Signals by id; the highest revision holds."""
        return f"{self.prefix}.signals"

    @property
    def evidence(self) -> str:
        """Evidence records."""
        return f"{self.prefix}.evidence"

    @property
    def stats(self) -> str:
        """Accounting as data."""
        return f"{self.prefix}.stats"

    @property
    def dead_letters(self) -> str:
        """What could not be used."""
        return f"{self.prefix}.dead-letters"

    @property
    def raw_pattern(self) -> str:
        """A regular expression of the topics a Collector's Kafka exporter writes to."""
        return rf"^{self.prefix.replace('.', '[.]')}[.]raw[.].*"

    def raw_tenant(self, topic: str) -> str | None:
        """Return the tenant part of a raw topic's name; None where it is not one."""
        start = f"{self.prefix}.raw."
        return topic[len(start) :] if topic.startswith(start) else None


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it must be. `required` settings are checked; the others are only defaults."""

    name: str
    partitions: int
    required: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)


def topic_specs(names: TopicNames) -> tuple[TopicSpec, ...]:
    """Return every topic of an installation."""
    return (
        TopicSpec(
            names.spans,
            PARTITIONS,
            required=_APPEND_TIME,
            defaults={
                "retention.ms": str(7 * _DAY_MS),
                "max.message.bytes": str(MAX_MESSAGE_BYTES),
            },
        ),
        TopicSpec(
            names.rules,
            1,
            required={**_APPEND_TIME, "cleanup.policy": "delete", "retention.ms": "-1"},
            defaults={"retention.bytes": "-1"},
        ),
        TopicSpec(names.signals, 8, defaults={"retention.ms": str(7 * _DAY_MS)}),
        TopicSpec(names.stats, 4, defaults={"retention.ms": str(7 * _DAY_MS)}),
        TopicSpec(names.evidence, 4, defaults={"retention.ms": str(7 * _DAY_MS)}),
        TopicSpec(names.dead_letters, 4, defaults={"retention.ms": str(30 * _DAY_MS)}),
    )


class TopicsWrong(Exception):
    """Topics are missing or set in a way that would make verdicts wrong.

    `problems` holds one sentence each, with what to do.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class KafkaUnavailable(Exception):
    """No broker answered."""


class TopicAdmin:
    """Creates and checks topics through Kafka's admin interface. Use as a context manager."""

    def __init__(self, bootstrap_servers: str, *, timeout_ms: int = 15_000) -> None:
        """Connect; raises KafkaUnavailable when no broker answers within timeout_ms."""
        try:
            self._client = KafkaAdminClient(
                bootstrap_servers=bootstrap_servers.split(","),
                request_timeout_ms=timeout_ms,
                bootstrap_timeout_ms=timeout_ms,
            )
        except KafkaError as error:
            raise KafkaUnavailable(f"no Kafka broker at {bootstrap_servers}: {error}") from error

    def __enter__(self) -> TopicAdmin:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def create(self, specs: Iterable[TopicSpec], *, replication: int = -1) -> list[str]:
        """Create the topics that are missing and return their names.

        replication -1 leaves the number of replicas to the broker's default. Topics that exist
        are left as they are: `check` says where they differ.
        """
        existing = set(self._client.list_topics())
        created: list[str] = []
        for spec in specs:
            if spec.name in existing:
                continue
            options = {
                "num_partitions": spec.partitions,
                "replication_factor": replication,
                "configs": {**spec.defaults, **spec.required},
            }
            try:
                self._client.create_topics({spec.name: options}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                continue  # another process was faster
            created.append(spec.name)
        return created

    def check(self, specs: Iterable[TopicSpec]) -> None:
        """Raise TopicsWrong naming each topic that is missing or differs in what is required."""
        wanted = tuple(specs)
        found = {t["name"]: t for t in self._client.describe_topics([s.name for s in wanted])}
        problems: list[str] = []
        present: list[TopicSpec] = []
        for spec in wanted:
            topic = found.get(spec.name)
            if topic is None or topic.get("error_code"):
                problems.append(
                    f"Kafka topic {spec.name} does not exist. Run `betrace topics create`."
                )
                continue
            present.append(spec)
            partitions = len(topic["partitions"])
            if partitions != spec.partitions:
                problems.append(_wrong_partitions(spec, partitions))
        settings = self._settings([spec.name for spec in present if spec.required])
        for spec in present:
            for key, value in spec.required.items():
                actual = settings[spec.name].get(key)
                if actual != value:
                    problems.append(_wrong_setting(spec, key, value, actual))
        if problems:
            raise TopicsWrong(problems)

    def _settings(self, topics: list[str]) -> dict[str, dict[str, str | None]]:
        """Return topic → setting → value as the broker applies them."""
        if not topics:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        answers = self._client.describe_configs(resources, config_filter="all")["topic"]
        return {
            topic: {name: entry["value"] for name, entry in answers[topic].items()}
            for topic in topics
        }


def _wrong_partitions(spec: TopicSpec, actual: int) -> str:
    return (
        f"Kafka topic {spec.name} has {actual} partitions, and must have {spec.partitions}: "
        "a trace is found by its partition. The number cannot be changed on a topic with data; "
        "create the topic anew (`betrace topics create`) or use another BETRACE_TOPIC_PREFIX."
    )


def _wrong_setting(spec: TopicSpec, key: str, value: str, actual: str | None) -> str:
    return (
        f"Kafka topic {spec.name} has {key}={actual}, and must have {key}={value}. Run "
        f"`kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} "
        f"--add-config {key}={value}`, before anything is written to it."
    )
