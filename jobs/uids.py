"""Stable ids for every operator of the job.

State in checkpoints and savepoints is found again by operator id. The DataStream operators of
Python can be given one; sources, sinks and conversions of tables cannot, so their Java
transformations are walked and named by what they are. An operator without an id of its own gets
one from its place in the graph, and a later version of the job could not find its state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import get_field_value

_UNNAMEABLE = ("PartitionTransformation", "UnionTransformation", "SideOutputTransformation")
"""These are edges: they make no operator, and Flink refuses them an id."""


def name_operators(j_environment: Any, *, names: Mapping[str, str] | None = None) -> list[str]:
    """Give every transformation of a Java StreamExecutionEnvironment a uid; return them all.

    names: new names of some, by uid; a name means nothing to Flink.

    An id that was already given stays. Others are made from the transformation's name with the
    planner's numbering removed; equal names are told apart by their order from the source on.
    """
    uids: list[str] = []
    for transformation in _upstream_first(j_environment):
        if transformation.getClass().getSimpleName() in _UNNAMEABLE:
            continue
        uid = transformation.getUid()
        if uid is None:
            uid = _unused(_uid_from_name(transformation.getName()), uids)
            transformation.setUid(uid)
        if names and uid in names:
            transformation.setName(names[uid])
        uids.append(uid)
    return uids


def _upstream_first(j_environment: Any) -> list[Any]:
    """Return every transformation once, inputs before what reads them."""
    ordered: list[Any] = []
    seen: set[int] = set()
    for last in get_field_value(j_environment, "transformations"):
        for transformation in last.getTransitivePredecessors():
            if transformation.getId() not in seen:
                seen.add(transformation.getId())
                ordered.append(transformation)
    return sorted(ordered, key=lambda transformation: int(transformation.getId()))


def _uid_from_name(name: str) -> str:
    """Make an id of a name as the planner writes them.

    `KafkaSource-default_catalog.default_database.spans` → `spans`; `Calc[2]` → `calc`: what
    stands in brackets or in front of the table may change with the planner.
    """
    words = re.sub(r"\[.*?\]|\(.*\)", " ", name).rpartition(".")[2]
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "operator"


def _unused(uid: str, taken: list[str]) -> str:
    number, candidate = 1, uid
    while candidate in taken:
        number += 1
        candidate = f"{uid}-{number}"
    return candidate


def operator_uids(j_stream_graph: Any) -> list[str]:
    """Return the uid of every operator of a Java StreamGraph, in the order of the graph."""
    nodes = sorted(j_stream_graph.getStreamNodes().toArray(), key=lambda node: int(node.getId()))
    return [node.getTransformationUID() or "" for node in nodes]


def stream_graph(j_environment: Any) -> Any:
    """Build the Java StreamGraph that would be submitted, the environment staying as it is."""
    jvm = get_gateway().jvm
    jvm.org.apache.flink.python.util.PythonConfigUtil.configPythonOperator(j_environment)
    jvm.org.apache.flink.python.chain.PythonOperatorChainingOptimizer.apply(j_environment)
    return j_environment.getStreamGraph(False)
