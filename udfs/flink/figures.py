"""Figures that operators give Flink, which shows them by REST and to its metric reporters.

They stand under the operator's name. Whoever reads them (`api.job`) uses these names.
"""

from __future__ import annotations

import resource
from pathlib import Path

RULES_OFFSET = "rules_offset"
"""How far a subtask has read the rules log: the offset of the first record not read."""
RSS_BYTES = "python_rss_bytes"
"""Memory of the Python worker of a subtask; Flink limits only that of its JVMs."""

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()
