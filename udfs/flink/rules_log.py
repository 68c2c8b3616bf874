"""Reading the rules log from inside an operator, and adding what only the job knows.

Each process reads `betrace.rules` itself, from its beginning, and again on demand; nothing is
broadcast and no rule stands in the job graph or in state. Its operators share what was read. When
a look is due is the rule book's decision; this module only brings what was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from kafka import KafkaProducer
from kafka.errors import KafkaError as ProducerError

from udfs.rulebook import RuleBook

if TYPE_CHECKING:
    from udfs.wire import betrace_pb2 as wire

_PASSING = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)
"""What a broker or client says until it knows of a topic that is there."""
_BATCH = 5_000
_POLL_S = 0.25


class RulesLogUnavailable(Exception):
    """The rules log could not be read to its end. Raised so that Flink restarts the job."""


class RulesLogLost(Exception):
    """The log no longer holds what was read of it: it was truncated or made anew."""


class RulesLogRecord(NamedTuple):
    """One record of the log, with the broker's append time."""

    offset: int
    append_ms: int
    value: bytes


@dataclass(frozen=True, slots=True)
class RulesLogAddress:
    """Where the rules log is. Travels with the operators, so plain values only."""

    bootstrap_servers: str
    topic: str
    timeout_ms: int = 30_000
    reader: str = ""
    """Output prefix of the job: some gaps are those of one job."""


class RulesLog:
    """The one partition of the rules topic, read to its end at every call.

    librdkafka reads: a hundred thousand records are there in a fraction of the time that a client
    in Python takes to take them apart. Between calls nothing is fetched.
    """

    def __init__(self, address: RulesLogAddress) -> None:
        """Connect. Raises RulesLogUnavailable if no broker answers in time."""
        self._address = address
        self._timeout_s = address.timeout_ms / 1000
        self._next_offset = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": address.bootstrap_servers,
                "group.id": "betrace-rules",  # asked for, and never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
            }
        )
        try:
            self._consumer.list_topics(address.topic, timeout=self._timeout_s)
        except KafkaException as error:
            self._consumer.close()
            raise RulesLogUnavailable(f"{address.topic}: {error}") from error

    def read_to_end(self) -> Iterator[RulesLogRecord]:
        """Yield what was appended since the last call, up to the end as of this call.

        Raises RulesLogUnavailable if nothing comes for as long as the timeout, RulesLogLost if the
        log ends before what was already read.
        """
        topic = self._address.topic
        partition = TopicPartition(topic, 0, self._next_offset)
        try:
            end = self._end_of(partition)
            if end < self._next_offset:
                raise RulesLogLost(f"{topic} ends at {end}, and {self._next_offset} were read")
            if end > self._next_offset:
                self._consumer.assign([partition])
                yield from self._read_up_to(end)
        except KafkaException as error:
            raise RulesLogUnavailable(f"{topic}: {error}") from error
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _end_of(self, partition: TopicPartition) -> int:
        """Return where the log ends. A broker that has just started may not know it yet."""
        give_up_at = monotonic() + self._timeout_s
        while True:
            try:
                _, end = self._consumer.get_watermark_offsets(partition, timeout=self._timeout_s)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or monotonic() > give_up_at:
                    raise
                self._consumer.poll(_POLL_S)
                self._consumer.list_topics(partition.topic, timeout=self._timeout_s)
            else:
                return end

    def _read_up_to(self, end: int) -> Iterator[RulesLogRecord]:
        heard_at = monotonic()
        while self._next_offset < end:
            messages = self._at_hand()
            if messages:
                heard_at = monotonic()
            elif monotonic() > heard_at + self._timeout_s:
                raise RulesLogUnavailable(
                    f"{self._address.topic}: at {self._next_offset} of {end}, and nothing came for "
                    f"{self._timeout_s:.0f} s"
                )
            for message in messages:
                error, offset = message.error(), message.offset() or 0
                if error is None:
                    self._next_offset = offset + 1
                    yield RulesLogRecord(offset, message.timestamp()[1], message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    # Control records leave no trace but a higher end.
                    self._next_offset = max(self._next_offset, offset)
                else:
                    raise KafkaException(error)

    def _at_hand(self) -> list[Message]:
        """Return what has come, without waiting for company; none after a while."""
        first = self._consumer.poll(_POLL_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0.0)]


def append_to_rules_log(address: RulesLogAddress, record: wire.RuleLogRecord) -> None:
    """Append a record and wait until all replicas have it. Raises RulesLogUnavailable.

    For what only the job knows: gaps, and what its workers died of. Rules come from the API.
    """
    timeout_s = address.timeout_ms / 1000
    try:
        producer = KafkaProducer(
            bootstrap_servers=address.bootstrap_servers.split(","),
            acks="all",
            allow_auto_create_topics=False,
        )
        try:
            value = record.SerializeToString(deterministic=True)
            sent = producer.send(address.topic, value, partition=0, headers=[("v", b"1")])
            sent.get(timeout_s)
        finally:
            producer.close(timeout_s)
    except ProducerError as error:
        raise RulesLogUnavailable(f"{address.topic} took no record: {error}") from error


class FollowedRules:
    """A rule book kept up with the log as event time asks for it, for several threads."""

    def __init__(self, book: RuleBook, log: RulesLog) -> None:
        self.book = book
        self._log = log
        self._reading = Lock()
        self.users = 0
        self.failed = False
        """Whether the log could not be read: who comes next begins anew."""

    def read(self) -> None:
        """Read the log to its end."""
        with self._reading:
            self._read()

    def be_ready_for(self, time_ms: int) -> None:
        """See to it that all rules which matter to a record of this time have been read."""
        if self.book.needs_look(time_ms):
            with self._reading:
                if self.book.needs_look(time_ms):
                    self._read()
                    self.book.looked(time_ms)

    def next_offset(self) -> int:
        """Return how far the log has been read."""
        return self.book.next_offset

    def close(self) -> None:
        """Leave the broker."""
        self._log.close()

    def _read(self) -> None:
        try:
            for record in self._log.read_to_end():
                self.book.add(record.value, append_ms=record.append_ms, offset=record.offset)
        except (RulesLogUnavailable, RulesLogLost):
            self.failed = True
            raise


class SharedRules:
    """What the operators of this process follow: one book and one consumer for each log.

    All operators of a slot live in one process. What one of them has read while it held a record
    of some time holds for the others too.
    """

    def __init__(self) -> None:
        self._followed: dict[RulesLogAddress, FollowedRules] = {}
        self._changing = Lock()

    def follow(self, address: RulesLogAddress) -> FollowedRules:
        """Return the book of a log; `leave` it in the end. Raises RulesLogUnavailable."""
        with self._changing:
            followed = self._followed.get(address)
            if followed is None or followed.failed:
                book = RuleBook(reader=address.reader)
                followed = self._followed[address] = FollowedRules(book, RulesLog(address))
            followed.users += 1
            return followed

    def leave(self, followed: FollowedRules) -> None:
        """Note that an operator needs a book no more; the last one closes it."""
        with self._changing:
            followed.users -= 1
            if followed.users:
                return
            for address in [key for key, one in self._followed.items() if one is followed]:
                del self._followed[address]
        followed.close()


@cache
def shared_rules() -> SharedRules:
    """Return what this process shares."""
    return SharedRules()
