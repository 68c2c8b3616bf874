"""Three-valued answers that know why they are unknown.

An answer is NO, YES, or a number above YES: a set of bits, one for each reason why it cannot be
known. `and` of unknown answers, and `or` of them, unites their reasons.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from dsl.verdict import Reason, TraceView

Truth: TypeAlias = int
NO: Final = 0
YES: Final = 1
OPEN: Final = 2
"""A span that was not seen may still come."""
WINDOW: Final = 4
"""The same, because a window is not over."""
REDACTED: Final = 8
MISSING_PARENT: Final = 16
SAME_TIME: Final = 32
BINDINGS: Final = 64
STEPS: Final = 128

_REASONS: Final = {
    WINDOW: Reason.STILL_OPEN,
    REDACTED: Reason.REDACTED,
    MISSING_PARENT: Reason.MISSING_PARENT,
    SAME_TIME: Reason.SAME_TIME,
    BINDINGS: Reason.BINDINGS,
    STEPS: Reason.STEPS,
}


def reasons_of(answer: Truth, view: TraceView) -> tuple[Reason, ...]:
    """Return the reasons of an unknown answer, sorted."""
    found = {reason for bit, reason in _REASONS.items() if answer & bit}
    if answer & OPEN:
        found |= view.in_doubt or {Reason.STILL_OPEN}
    return tuple(sorted(found))


def both(one: Truth, other: Truth) -> Truth:
    """Return the `and` of two answers."""
    if one == NO or other == NO:
        return NO
    joined = one | other
    return joined & ~YES if joined > YES else YES


def either(one: Truth, other: Truth) -> Truth:
    """Return the `or` of two answers."""
    return YES if one == YES or other == YES else one | other


def opposite(answer: Truth) -> Truth:
    """Return the `not` of an answer."""
    return answer if answer > YES else 1 - answer


def known(answer: bool | None, doubt: Truth) -> Truth:
    """Return a plain answer; `doubt` where it is None."""
    return doubt if answer is None else int(answer)
