"""The Merkle tree of RFC 6962, as it grows: hashes, and the right edge that appending needs.

A full subtree of 2^level leaves that begins at leaf number · 2^level is the node (level, number).
It never changes once it is full, so a store of nodes is only ever added to.

    level 2          (2,0)
    level 1     (1,0)      (1,1)       size 7: the edge is (2,0) (1,2) (0,6)
    level 0    0     1    2     3    4  5   6
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

EMPTY_ROOT: Final = sha256().digest()


class NodeId(NamedTuple):
    """A full subtree: 2^level leaves, the first of which is number · 2^level."""

    level: int
    number: int


class Run(NamedTuple):
    """Full subtrees of one level beside each other; the first has the number `first`."""

    level: int
    first: int
    hashes: Sequence[bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry (RFC 6962, 2.1: the prefix keeps leaves and nodes apart)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees side by side."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over full subtrees that shrink from left to right, as RFC 6962 splits."""
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


class Frontier:
    """A log's size and right edge: all it takes to append and to know the root."""

    __slots__ = ("_edge", "_size")

    def __init__(self, *, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        """size: leaves so far; edge: hashes of its full subtrees, one for each bit of size."""
        self._size = size
        self._edge = list(edge)
        if len(self._edge) != size.bit_count():
            raise ValueError(
                f"a tree of {size} leaves has {size.bit_count()} full subtrees at its edge, "
                f"{len(self._edge)} were given"
            )

    @property
    def size(self) -> int:
        """How many leaves there are; the index of the next one."""
        return self._size

    @property
    def edge(self) -> tuple[bytes, ...]:
        """The hashes of the full subtrees, the largest first."""
        return tuple(self._edge)

    def append(self, leaf: bytes) -> list[tuple[NodeId, bytes]]:
        """Add a leaf's hash; return the nodes that are full now, the leaf first.

        All of them go to the store, in one transaction with the new size and edge.
        """
        number, level = self._size, 0
        full = [(NodeId(0, number), leaf)]
        edge = self._edge
        while number & 1:
            leaf = node_hash(edge.pop(), leaf)
            number >>= 1
            level += 1
            full.append((NodeId(level, number), leaf))
        edge.append(leaf)
        self._size += 1
        return full

    def extend(self, leaves: Iterable[bytes]) -> list[Run]:
        """Add many leaves' hashes at once; return the nodes that are full now, level by level.

        They are those that `append` returns for one leaf after the other.
        """
        hashes, first = list(leaves), self._size
        edge = self._edge_by_level()
        self._size += len(hashes)
        runs: list[Run] = []
        while hashes:
            level = len(runs)
            runs.append(Run(level, first, hashes))
            if first & 1:
                hashes = [edge.pop(level), *hashes]
            if len(hashes) & 1:
                edge[level] = hashes[-1]
            pairs = zip(hashes[::2], hashes[1::2], strict=False)
            hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            first >>= 1
        self._edge = [edge[level] for level in sorted(edge, reverse=True)]
        return runs

    def _edge_by_level(self) -> dict[int, bytes]:
        levels = [level for level in range(self._size.bit_length()) if self._size >> level & 1]
        return dict(zip(reversed(levels), self._edge, strict=True))

    def root(self) -> bytes:
        """Return the root hash (32 bytes)."""
        return fold(self._edge) if self._edge else EMPTY_ROOT
