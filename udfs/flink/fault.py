"""Faults on purpose, for tests: a record that kills the worker which looks at it.

BETRACE_FAULT_CRASH_ON=TEXT in the environment of a TaskManager makes every Python worker read an
address that is not there when a record of spans contains the text. Never set it elsewhere.
"""

from __future__ import annotations

import ctypes
import os

VARIABLE = "BETRACE_FAULT_CRASH_ON"


class CrashOn:
    """Kills this process on sight of a text; without the variable, never."""

    def __init__(self) -> None:
        """Read the environment."""
        self._text = os.environ.get(VARIABLE, "").encode()

    def look_at(self, payload: bytes) -> None:
        """Die by SIGSEGV if a record holds the text."""
        if self._text and self._text in payload:
            ctypes.string_at(0)
