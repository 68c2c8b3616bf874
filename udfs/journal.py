"""What a lane tells about the traces it closes, beside its signals.

Signals speak of violations alone. Whoever compares two versions of a rule wants every verdict; a
lane that is given a journal writes one entry for each closing.
"""

from __future__ import annotations

from typing import NamedTuple

from dsl import Judgement


class Closing(NamedTuple):
    """One closing of a trace. Of several about one trace the last holds.

    closed_ms: event time, 0 for a trace that is not closed yet. first: it was never closed before.
    judged: (rule id, judgement) of the rules that apply and have judged. waiting: rules that have
    not judged, or judge once more, because they settle longer or a window is open. last_ms: when
    the last span came. The offsets are those of the first and last record that brought spans.
    """

    tenant: str
    trace_id: bytes
    begin_ms: int
    closed_ms: int
    first: bool
    judged: tuple[tuple[str, Judgement], ...]
    waiting: frozenset[str]
    root_name: str
    root_service: str
    span_count: int
    last_ms: int
    first_offset: int
    last_offset: int
