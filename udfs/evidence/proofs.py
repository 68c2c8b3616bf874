"""Proofs about a log, made from the stored hashes of its full subtrees (RFC 6962, 2.1.1, 2.1.2).

A proof is a list of subtrees, not all of them full: what is not full is folded from what is. So a
proof is planned first, read from the store in one go, and folded then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from udfs.evidence.tree import EMPTY_ROOT, NodeId, fold

Span = tuple[int, int]
"""Leaves from the first number up to, and without, the second."""


class Hashes(Protocol):
    """The store of a log's full subtrees."""

    def read(self, nodes: Sequence[NodeId]) -> Sequence[bytes]:
        """Return the hashes of full nodes, in the order asked for. Raises LookupError."""


def full_nodes(begin: int, end: int) -> Iterator[NodeId]:
    """Yield the fewest full subtrees that make up leaves begin to end, from left to right."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield NodeId(level, begin >> level)
        begin += 1 << level


def root_at(hashes: Hashes, size: int) -> bytes:
    """Return the root that the log had at a size."""
    return _folded(hashes, [(0, size)])[0] if size else EMPTY_ROOT


def inclusion_proof(hashes: Hashes, *, index: int, size: int) -> list[bytes]:
    """Return the audit path of leaf index in the tree of that size, lowest hash first.

    Raises ValueError if there is no such leaf in it.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    return _folded(hashes, _inclusion_spans(index, size))


def consistency_proof(hashes: Hashes, *, old: int, size: int) -> list[bytes]:
    """Return the proof that the tree of a size begins with the tree that it was at old.

    Empty if old is 0 or size: nothing needs proof then. Raises ValueError if old is over size.
    """
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} leaves never had {old}")
    return _folded(hashes, _consistency_spans(old, size)) if 0 < old < size else []


def _inclusion_spans(index: int, size: int) -> list[Span]:
    begin, end = 0, size
    spans = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    return spans[::-1]


def _consistency_spans(old: int, size: int) -> list[Span]:
    begin, end = 0, size
    spans = []
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    if begin:
        spans.append((begin, end))
    return spans[::-1]


def _split(leaves: int) -> int:
    """Return the largest power of two below a number over 1 (RFC 6962's k)."""
    return 1 << (leaves - 1).bit_length() - 1


def _folded(hashes: Hashes, spans: Sequence[Span]) -> list[bytes]:
    nodes = [list(full_nodes(begin, end)) for begin, end in spans]
    read = iter(hashes.read([node for each in nodes for node in each]))
    return [fold(list(islice(read, len(each)))) for each in nodes]
