"""The job as it is given to Flink: `flink run -d … -py jobs/detect.py --kafka …`.

`python -m jobs.submit` builds that command line. The arguments are described by `--help`.
"""

from __future__ import annotations

import os
import sys
import time

from pyflink.datastream import StreamExecutionEnvironment

from jobs.fitness import SnapshotUnfit, problems_of
from jobs.inscription import inscription_now, rules_records
from jobs.settings import JobSettings, parse_settings
from jobs.snapshot import Snapshot, SnapshotUnreadable, read_snapshot
from jobs.span_log import SpanLog
from jobs.start import Beginning, OffsetsLost, begin, gap_of
from jobs.topics import TopicsUnfit, span_partitions
from jobs.topology import build
from udfs.flink.rules_log import RulesLogUnavailable, append_to_rules_log
from udfs.wire import betrace_pb2 as wire

SNAPSHOT_OPTION = "execution.state-recovery.path"
"""Flink's client puts what `flink run -s` names there."""
REFUSALS = (TopicsUnfit, OffsetsLost, SnapshotUnreadable, SnapshotUnfit, RulesLogUnavailable)


def main() -> None:
    """Check the topics and the snapshot, decide where to begin, and submit the job."""
    settings = parse_settings(sys.argv[1:], os.environ)
    try:
        partitions = span_partitions(settings)
        snapshot = snapshot_to_restore()
        if snapshot is not None:
            refuse_unfit(settings, snapshot)
        beginning = prepare_log(settings, snapshot, partitions=partitions)
        inscription = inscription_now(settings)
    except REFUSALS as refusal:
        sys.exit(f"betrace refuses: {refusal}")
    environment = build(
        settings,
        partitions=partitions,
        passes_over_expired=bool(beginning.passes_over),
        inscription=inscription.text(),
    )
    environment.execute(settings.name)


def snapshot_to_restore() -> Snapshot | None:
    """Return what the job is to go on from, if anything. Raises SnapshotUnreadable."""
    environment = StreamExecutionEnvironment.get_execution_environment()
    options = environment._j_stream_execution_environment.getConfiguration()
    address = options.toMap().get(SNAPSHOT_OPTION)
    return read_snapshot(address) if address else None


def refuse_unfit(settings: JobSettings, snapshot: Snapshot) -> None:
    """Raise SnapshotUnfit if this build cannot go on from a snapshot."""
    problems = problems_of(snapshot, uids=None, rules=rules_records(settings))
    if problems:
        raise SnapshotUnfit(snapshot.address, problems)


def prepare_log(settings: JobSettings, snapshot: Snapshot | None, *, partitions: int) -> Beginning:
    """Commit the offsets from which reading begins, and write down what will not be read.

    Raises OffsetsLost, TopicsUnfit and RulesLogUnavailable.
    """
    with SpanLog(settings, partitions=partitions) as log:
        restored = snapshot.offsets if snapshot and snapshot.offsets else None
        beginning = begin(settings, log, restored=restored)
        if beginning.without:
            gap = gap_of(settings, log, beginning, now_ms=time.time_ns() // 1_000_000)
            append_to_rules_log(settings.rules_address, wire.RuleLogRecord(gap=gap))
            print(f"betrace: traces begun before {gap.until_ms} may be inconclusive ({gap.reason})")
        if restored is None:
            log.commit(beginning.offsets)
    return beginning


if __name__ == "__main__":
    main()
