"""Exceptions of rules: made out of signals, proven before they are saved, and ended."""
