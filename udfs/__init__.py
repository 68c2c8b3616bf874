"""Functions over the span stream. Pure, but for `udfs.flink` and `udfs.keysource`."""
