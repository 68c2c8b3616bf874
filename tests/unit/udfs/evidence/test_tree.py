"""The Merkle tree and its proofs: known vectors, and every tree against a naive one."""

from __future__ import annotations

from hashlib import sha256
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evidence import MemoryHashes
from udfs.evidence.proof_checks import consistency_holds, inclusion_holds
from udfs.evidence.proofs import consistency_proof, full_nodes, inclusion_proof, root_at
from udfs.evidence.tree import EMPTY_ROOT, Frontier, NodeId, leaf_hash, node_hash
from udfs.evidence.verify import Tree

LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the reference tests of Certificate Transparency, after one, two, … leaves."""


def grown(count: int) -> tuple[Frontier, MemoryHashes, list[bytes]]:
    """Return a tree of so many leaves, its stored nodes, and the roots it had at every size."""
    frontier, hashes, roots = Frontier(), MemoryHashes(), [EMPTY_ROOT]
    for number in range(count):
        hashes.nodes.update(frontier.append(leaf_hash(b"%d" % number)))
        roots.append(frontier.root())
    return frontier, hashes, roots


def naive_root(leaves: list[bytes]) -> bytes:
    """Return the root by RFC 6962, 2.1, to the letter."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def test_roots_are_those_of_certificate_transparency() -> None:
    frontier = Frontier()
    roots = []
    for leaf in LEAVES:
        frontier.append(leaf_hash(bytes.fromhex(leaf)))
        roots.append(frontier.root().hex())
    assert roots == ROOTS


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root().hex() == sha256(b"").hexdigest()


def test_a_known_path_and_a_known_proof_of_consistency() -> None:
    hashes, frontier = MemoryHashes(), Frontier()
    for leaf in LEAVES:
        hashes.nodes.update(frontier.append(leaf_hash(bytes.fromhex(leaf))))
    path = inclusion_proof(hashes, index=0, size=8)
    assert [one.hex() for one in path] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    proof = consistency_proof(hashes, old=6, size=8)
    assert [one.hex() for one in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_frontier_has_the_root_of_the_naive_tree(entries: list[bytes]) -> None:
    frontier, hashes = Frontier(), MemoryHashes()
    for entry in entries:
        hashes.nodes.update(frontier.append(leaf_hash(entry)))
    assert frontier.root() == naive_root(entries) == root_at(hashes, len(entries))


@given(st.integers(0, 200), st.integers(0, 100))
def test_a_frontier_goes_on_from_its_size_and_edge(before: int, after: int) -> None:
    frontier, _, _ = grown(before)
    again = Frontier(size=frontier.size, edge=frontier.edge)
    for number in range(after):
        assert again.append(leaf_hash(b"%d" % number)) == frontier.append(leaf_hash(b"%d" % number))
    assert again.root() == frontier.root()


def test_an_edge_that_does_not_fit_the_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves has 2 full subtrees"):
        Frontier(size=3, edge=[bytes(32)])


@settings(max_examples=60)
@given(st.integers(1, 150).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_inclusion_is_proven_and_nothing_else(numbers: tuple[int, int]) -> None:
    size, index = numbers
    _, hashes, roots = grown(size)
    proof = inclusion_proof(hashes, index=index, size=size)
    leaf, root = leaf_hash(b"%d" % index), roots[size]

    def holds(proof: list[bytes], **changed: int | bytes) -> bool:
        facts = {"index": index, "size": size, "leaf": leaf, "root": root} | changed
        return inclusion_holds(proof, **facts)  # type: ignore[arg-type]

    assert holds(proof)
    assert not holds(proof, leaf=leaf_hash(b"other"))
    assert not holds(proof, root=leaf_hash(b"other"))
    assert not holds([*proof, bytes(32)])
    assert not holds(proof, index=size)
    assert not any(holds(proof, index=other) for other in range(size) if other != index)
    assert not any(holds(proof[:at] + proof[at + 1 :]) for at in range(len(proof)))
    assert not any(holds([*proof[:at], bytes(32), *proof[at + 1 :]]) for at in range(len(proof)))


@settings(max_examples=60)
@given(st.integers(2, 150).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size - 1))))
def test_consistency_is_proven_and_nothing_else(numbers: tuple[int, int]) -> None:
    size, old = numbers
    _, hashes, roots = grown(size)
    proof = consistency_proof(hashes, old=old, size=size)

    def holds(proof: list[bytes], **changed: int | bytes) -> bool:
        facts = {"old": old, "old_root": roots[old], "size": size, "root": roots[size]} | changed
        return consistency_holds(proof, **facts)  # type: ignore[arg-type]

    assert holds(proof)
    assert not holds(proof, old_root=bytes(32))
    assert not holds(proof, root=bytes(32))
    assert not holds([*proof, bytes(32)])
    assert not holds([])
    assert not any(holds(proof[:at] + proof[at + 1 :]) for at in range(len(proof)))
    assert not any(holds([*proof[:at], bytes(32), *proof[at + 1 :]]) for at in range(len(proof)))


def test_what_needs_no_proof_has_an_empty_one() -> None:
    _, hashes, roots = grown(5)
    assert (
        consistency_proof(hashes, old=0, size=5) == consistency_proof(hashes, old=5, size=5) == []
    )
    facts = {"old_root": roots[5], "root": roots[5]}
    assert consistency_holds([], old=5, size=5, **facts)
    assert consistency_holds([], old=0, size=5, **facts)
    assert not consistency_holds([], old=6, size=5, **facts)
    assert not consistency_holds([], old=5, size=5, old_root=roots[4], root=roots[5])


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 0)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="is not in a tree"):
        inclusion_proof(MemoryHashes(), index=index, size=size)
    with pytest.raises(ValueError, match="never had"):
        consistency_proof(MemoryHashes(), old=size + 1, size=size)


@given(st.integers(0, 300), st.integers(0, 60))
def test_full_subtrees_make_up_a_span_without_hole_or_overlap(begin: int, length: int) -> None:
    nodes = list(full_nodes(begin, begin + length))
    assert all(
        node.number << node.level == at for node, at in zip(nodes, _ends(begin, nodes), strict=True)
    )
    assert sum(1 << node.level for node in nodes) == length
    assert len(nodes) <= 2 * max(1, length.bit_length())


def _ends(begin: int, nodes: list[NodeId]) -> list[int]:
    return list(accumulate((1 << node.level for node in nodes), initial=begin))[: len(nodes)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.data())
def test_the_verifiers_tree_takes_subtrees_for_leaves(cuts: list[int], data: st.DataObject) -> None:
    sizes = list(accumulate(cuts))
    _, hashes, roots = grown(sizes[-1])
    tree, at = Tree(), 0
    for size in sizes:
        if data.draw(st.booleans()):
            for node in full_nodes(at, size):
                tree.add(hashes.nodes[node], node.level)
        else:
            for leaf in range(at, size):
                tree.add(hashes.nodes[NodeId(0, leaf)])
        at = size
        assert tree.root() == roots[size]


def test_leaves_and_nodes_have_domains_of_their_own() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)


@given(st.lists(st.integers(0, 40), max_size=12))
def test_many_leaves_at_once_grow_the_tree_as_one_after_the_other(sizes: list[int]) -> None:
    one, many = Frontier(), Frontier()
    single, batched = MemoryHashes(), MemoryHashes()
    leaves = iter(leaf_hash(b"%d" % number) for number in range(sum(sizes)))
    for size in sizes:
        batch = [next(leaves) for _ in range(size)]
        for leaf in batch:
            single.nodes.update(one.append(leaf))
        for run in many.extend(batch):
            numbered = enumerate(run.hashes, run.first)
            batched.nodes.update((NodeId(run.level, number), each) for number, each in numbered)
        assert (many.size, many.edge, many.root()) == (one.size, one.edge, one.root())
    assert batched.nodes == single.nodes
