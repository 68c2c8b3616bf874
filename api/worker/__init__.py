"""The worker: a consumer group that carries what the job found into Postgres.

Two halves share a process. The *intake* reads signals, accounting and dead letters, writes each
batch in one transaction and commits the offsets afterwards: at least once, made effectively once
by upserts that keep the highest revision. The *copier* reads the spans of violating traces again
from the log, keeps them for as long as the signal lives, and explains the verdict by the same
evaluator on exactly the spans it rests on.

Left to others: judging (the job), serving and people's actions (the API).
"""
