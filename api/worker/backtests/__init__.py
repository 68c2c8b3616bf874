"""Working off backtests: a process of its own beside the worker, so that the engine's lock is not
shared with what carries live signals.

`keeper` starts the process when there is work; `process` takes work and gives it back; `planning`
decides what is read, `part` judges one partition, `gathering` the rules over many traces by what
all partitions found, `storing` writes what came out.
"""
