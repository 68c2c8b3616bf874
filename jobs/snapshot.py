"""What a savepoint or checkpoint says of itself, read by Flink's own classes.

Runs in a process that has PyFlink's gateway to a JVM: the client that submits the job, or
`python -m jobs.check`.

A list state of the source holds its partitions; each is, after u32 length, u32 version and u32
length: u16 length, topic, i32 partition, i64 offset, i64 offset to stop at (big endian).
Source: KafkaPartitionSplitSerializer of flink-connector-kafka 5.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any

from py4j.protocol import Py4JJavaError
from pyflink.java_gateway import get_gateway

SOURCE = "spans"
"""The uid of the source."""
_READER_STATE = "SourceReaderState"
_SPLIT_HEAD = Struct(">IIIH")
_SPLIT_PLACE = Struct(">iq")


class SnapshotUnreadable(Exception):
    """There is no snapshot at that address, or it cannot be read from here."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The state of one operator. uid, name: empty where the snapshot does not tell."""

    id: str
    uid: str
    name: str
    parallelism: int
    max_parallelism: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A savepoint or checkpoint.

    offsets: of the spans topic, by partition: where reading goes on; partitions from which nothing
    was read are left out.
    """

    address: str
    checkpoint_id: int
    operators: tuple[Operator, ...]
    offsets: dict[int, int]


def read_snapshot(address: str) -> Snapshot:
    """Read a snapshot by its URI or path. Raises SnapshotUnreadable."""
    jvm = get_gateway().jvm
    try:
        access = jvm.org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess
        place = access.resolveCheckpointPointer(address)
        stream = jvm.java.io.DataInputStream(place.getMetadataHandle().openInputStream())
        loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
        checkpoints = jvm.org.apache.flink.runtime.checkpoint.Checkpoints
        metadata = checkpoints.loadCheckpointMetadata(stream, loader, address)
        states = list(metadata.getOperatorStates().toArray())
        return Snapshot(
            address=address,
            checkpoint_id=int(metadata.getCheckpointId()),
            operators=tuple(sorted(map(_operator, states), key=lambda operator: operator.uid)),
            offsets=dict(_offsets(states)),
        )
    except Py4JJavaError as error:
        raise SnapshotUnreadable(
            f"no snapshot can be read at {address}: {error.java_exception.getMessage()}"
        ) from error


def _operator(state: Any) -> Operator:
    return Operator(
        id=state.getOperatorID().toString(),
        uid=state.getOperatorUid().orElse("") or "",
        name=state.getOperatorName().orElse("") or "",
        parallelism=int(state.getParallelism()),
        max_parallelism=int(state.getMaxParallelism()),
        size_bytes=int(state.getStateSize()),
    )


def _offsets(states: list[Any]) -> Iterator[tuple[int, int]]:
    for state in states:
        if state.getOperatorUid().orElse("") != SOURCE:
            continue
        for subtask in state.getStates().toArray():
            for handle in subtask.getManagedOperatorState().toArray():
                yield from _splits(handle)


def _splits(handle: Any) -> Iterator[tuple[int, int]]:
    """Yield (partition, offset); a negative offset stands for a beginning and is left out."""
    info = handle.getStateNameToPartitionOffsets().get(_READER_STATE)
    if info is None:
        return
    stream = handle.openInputStream()
    try:
        content = bytes(stream.readAllBytes())
    finally:
        stream.close()
    for start in info.getOffsets():
        *_, topic_length = _SPLIT_HEAD.unpack_from(content, start)
        place = start + _SPLIT_HEAD.size + topic_length
        partition, offset = _SPLIT_PLACE.unpack_from(content, place)
        if offset >= 0:
            yield partition, offset
