"""What the stream cannot judge yet: rules over many traces.

The only place that knows. Such rules check, are tested and explained like all others; they are
refused where they would be saved for the stream (`check_streamed`).
"""

from __future__ import annotations

from dsl.many.rule import not_yet
from dsl.rule import Checked, CompiledRule, check


def check_streamed(text: str) -> Checked:
    """Return the rule that a text holds if the stream can judge it, or what is wrong with it."""
    checked = check(text)
    if checked.rule is None or isinstance(checked.rule, CompiledRule):
        return checked
    return Checked(None, (not_yet(checked.rule),), checked.warnings)
