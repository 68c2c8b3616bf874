"""The hashes of a log's full subtrees, read from Postgres: those that are stored, and the lowest
ones made from leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from api.database import Connection, queries
from api.evidence.sealing import LOWEST_LEVEL
from udfs.evidence.proofs import Hashes
from udfs.evidence.tree import Frontier, NodeId

_T = TypeVar("_T")


@dataclass(slots=True)
class Planned:
    """Takes down which hashes are asked for, and answers with nothing."""

    nodes: set[NodeId] = field(default_factory=set)

    def read(self, nodes: Sequence[NodeId]) -> list[bytes]:
        """Return a stand-in for each."""
        self.nodes.update(nodes)
        return [b""] * len(nodes)


@dataclass(frozen=True, slots=True)
class Found:
    """Hashes that were read. Asking for another is a LookupError: the log is damaged there."""

    stored: Mapping[NodeId, bytes]
    leaves: Mapping[int, bytes]

    def read(self, nodes: Sequence[NodeId]) -> list[bytes]:
        """Return the hashes of nodes."""
        return [self._one(node) for node in nodes]

    def _one(self, node: NodeId) -> bytes:
        if node.level >= LOWEST_LEVEL:
            return self.stored[node]
        subtree = Frontier()
        subtree.extend(self.leaves[seq] for seq in leaves_of([node]))
        return subtree.root()


async def with_hashes(connection: Connection, make: Callable[[Hashes], _T]) -> _T:
    """Return what a function makes of hashes, reading those that it asks for in one go.

    make: asks for the same ones whatever they are. Raises LookupError where the log is damaged.
    """
    planned = Planned()
    make(planned)
    return make(await read_hashes(connection, planned))


async def read_hashes(connection: Connection, planned: Planned) -> Found:
    """Read what was taken down, in one go."""
    rows = queries("evidence").hashes(connection, **places_of(planned.nodes))
    return found_of([row async for row in rows])


def places_of(nodes: Iterable[NodeId]) -> dict[str, list[int]]:
    """Return where the hashes of some nodes are, as the statement `hashes` asks for them."""
    asked = list(nodes)
    high = [node for node in asked if node.level >= LOWEST_LEVEL]
    return {
        "levels": [node.level for node in high],
        "numbers": [node.number for node in high],
        "seqs": leaves_of(asked),
    }


def found_of(rows: Iterable[Mapping[str, Any]]) -> Found:
    """Return the hashes in rows of the statement `hashes`."""
    stored: dict[NodeId, bytes] = {}
    leaves: dict[int, bytes] = {}
    for row in rows:
        if row["level"]:
            stored[NodeId(row["level"], row["number"])] = bytes(row["hash"])
        else:
            leaves[row["number"]] = bytes(row["hash"])
    return Found(stored, leaves)


def leaves_of(nodes: Iterable[NodeId]) -> list[int]:
    """Return the leaves of which the others are made, in order."""
    low = (node for node in nodes if node.level < LOWEST_LEVEL)
    return sorted({(node.number << node.level) + n for node in low for n in range(1 << node.level)})
