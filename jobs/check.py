"""`python -m jobs.check SNAPSHOT`: can this build go on from a savepoint or checkpoint?

Prints one JSON object and ends with exit code 1 if it cannot. Other arguments are those of the
job (`jobs/settings.py`): Kafka is asked whether the spans that come next are still there.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from jobs.fitness import inscription_of, problems_of
from jobs.inscription import rules_records
from jobs.settings import JobSettings, parse_settings
from jobs.snapshot import Snapshot, SnapshotUnreadable, read_snapshot
from jobs.span_log import SpanLog
from jobs.start import OffsetsLost, begin
from jobs.topics import TopicsUnfit, span_partitions
from jobs.topology import build
from jobs.uids import operator_uids, stream_graph
from udfs.flink.rules_log import RulesLogUnavailable


def main() -> int:
    """Check, print what was found, and return the exit code."""
    address, *arguments = sys.argv[1:]
    settings = parse_settings(arguments, os.environ)
    try:
        report = check(settings, read_snapshot(address))
    except (SnapshotUnreadable, TopicsUnfit, RulesLogUnavailable) as error:
        report = {"snapshot": address, "problems": [str(error)]}
    print(json.dumps(report))
    return 1 if report["problems"] else 0


def check(settings: JobSettings, snapshot: Snapshot) -> dict[str, Any]:
    """Return what a snapshot says and why it cannot be gone on from (`problems`, or empty).

    Raises TopicsUnfit and RulesLogUnavailable.
    """
    partitions = span_partitions(settings)
    environment = build(settings, partitions=partitions)
    uids = operator_uids(stream_graph(environment._j_stream_execution_environment))
    problems = problems_of(snapshot, uids=uids, rules=rules_records(settings))
    try:
        with SpanLog(settings, partitions=partitions) as log:
            begin(settings, log, restored=snapshot.offsets)
    except OffsetsLost as lost:
        problems.append(str(lost))
    inscription = inscription_of(snapshot)
    return {
        "snapshot": snapshot.address,
        "checkpoint": snapshot.checkpoint_id,
        "says": asdict(inscription) if inscription else None,
        "operators": [asdict(operator) for operator in snapshot.operators if operator.size_bytes],
        "offsets": snapshot.offsets,
        "problems": problems,
    }


if __name__ == "__main__":
    sys.exit(main())
