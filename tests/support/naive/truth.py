"""Three answers, and why one is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Truth:
    """True, false or unknown (None); why: the reasons of an unknown one, else empty."""

    value: bool | None
    why: frozenset[str] = frozenset()


YES = Truth(True)
NO = Truth(False)


def known(answer: bool) -> Truth:
    """Return an answer that is in no doubt."""
    return YES if answer else NO


def unknown(*why: str) -> Truth:
    """Return an answer nobody can give, for these reasons."""
    return Truth(None, frozenset(why))


def every(answers: Iterable[Truth]) -> Truth:
    """The three-valued `and`."""
    found = list(answers)
    if NO in found:
        return NO
    doubts = [one for one in found if one.value is None]
    return _in_doubt(doubts) if doubts else YES


def some(answers: Iterable[Truth]) -> Truth:
    """The three-valued `or`."""
    found = list(answers)
    if YES in found:
        return YES
    doubts = [one for one in found if one.value is None]
    return _in_doubt(doubts) if doubts else NO


def opposite(answer: Truth) -> Truth:
    """The three-valued `not`."""
    return answer if answer.value is None else known(not answer.value)


def _in_doubt(doubts: list[Truth]) -> Truth:
    return Truth(None, frozenset().union(*(one.why for one in doubts)))
