"""Backtests, pure: what to read of the log, what a set of rules says, how two sets differ.

A backtest is the engine of the stream over a stretch of the log, with rules that are given instead
of those of the rules log. It reports the traces that began within its range.
"""
