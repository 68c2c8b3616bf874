"""The part of Flink's configuration that belongs to the job, so that any cluster will do.

What belongs to the cluster (memory, slots, retained checkpoints, savepoint folder) stands in
its own configuration file; `deploy/README.md` lists it.
"""

from __future__ import annotations

from jobs.settings import JobSettings
from udfs.lanes import LANES, MAX_PARALLELISM


def job_configuration(settings: JobSettings) -> dict[str, str]:
    """Return Flink's options for a job with these settings."""
    options = {
        "pipeline.name": settings.name,
        "parallelism.default": str(settings.parallelism),
        "pipeline.max-parallelism": str(MAX_PARALLELISM),
        "pipeline.object-reuse": "true",
        # Every watermark ends a bundle in every Python operator, at 3 ms of CPU time each.
        "pipeline.auto-watermark-interval": "250 ms",
        # A stalled partition must stall judging. Idleness is decided by a wall clock and can
        # pass over records that were not read yet (FLINK-40234).
        "table.exec.source.idle-timeout": "0 ms",
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_ms} ms",
        "execution.checkpointing.min-pause": f"{settings.checkpoint_interval_ms // 2} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.timeout": "5 min",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.incremental": "true",
        "state.backend.type": "rocksdb",
        # What lies in a write buffer is flushed while a checkpoint holds the operator up: small
        # ones are flushed beside it, before. 64 MB, the default, cost 0.8 s of p99.
        "state.backend.rocksdb.writebuffer.size": "8 mb",
        # Closed traces are written once, hardly ever read, and removed ten minutes later: merging
        # them level by level would rewrite all of them again and again.
        "state.backend.rocksdb.compaction.style": "UNIVERSAL",
        # Snappy, the default, took six times as much CPU for a seventh less on disk.
        "state.backend.rocksdb.compression.per.level": "LZ4_COMPRESSION",
        # One timer for each lane: too few to be worth a column family.
        "state.backend.rocksdb.timer-service.factory": "HEAP",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "python.fn-execution.bundle.size": str(settings.bundle_size),
        "python.fn-execution.bundle.time": str(settings.bundle_time_ms),
        # Counted in entries: the lists and the maps' recent keys of all lanes.
        "python.state.cache-size": str(20 * LANES),
        # No lane asks a map for what it just wrote; and of every key that is removed while it is
        # remembered, PyFlink's read cache keeps the name for ever.
        "python.map-state.read-cache-size": "0",
    }
    if settings.checkpoint_dir:
        options["execution.checkpointing.dir"] = settings.checkpoint_dir
    return options
