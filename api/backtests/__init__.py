"""Backtests: what rules would have said of a stretch of the log, and how versions differ."""
