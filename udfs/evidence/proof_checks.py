"""Whether a proof about a log holds (RFC 9162, 2.1.3.2 and 2.1.4.2). True or false, no reasons.

`verify` does not use this: it stands alone, and shares no code with what makes the proofs.
"""

from __future__ import annotations

from collections.abc import Sequence

from udfs.evidence.tree import node_hash


def inclusion_holds(
    proof: Sequence[bytes], *, index: int, size: int, leaf: bytes, root: bytes
) -> bool:
    """Tell whether a leaf's hash stands at index in the tree of that size and root."""
    if not 0 <= index < size:
        return False
    at, last, hashed = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            hashed = node_hash(other, hashed)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, other)
        at >>= 1
        last >>= 1
    return last == 0 and hashed == root


def consistency_holds(
    proof: Sequence[bytes], *, old: int, old_root: bytes, size: int, root: bytes
) -> bool:
    """Tell whether the tree of a size and root begins with the tree of size old and old_root."""
    if old == size:
        return not proof and old_root == root
    if old == 0:
        return not proof
    if not 0 < old < size:
        return False
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    was = now = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = node_hash(other, was), node_hash(other, now)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            now = node_hash(now, other)
        at >>= 1
        last >>= 1
    return last == 0 and was == old_root and now == root
