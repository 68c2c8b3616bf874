"""Which rules can be saved for the stream: all promises.

Rules over many traces are none yet; this is where they are refused once they check.
"""

from __future__ import annotations

from dsl.rule import Checked, check


def check_streamed(text: str) -> Checked:
    """Return the rule that a text holds if the stream can judge it, or what is wrong with it."""
    return check(text)
