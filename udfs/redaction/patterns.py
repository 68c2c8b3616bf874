"""Makes the gate of a tenant's pattern: the same without its conditions.

`^ $ \\b \\B \\A \\z` ask for something beside the match, which reads otherwise in serialized bytes
than in the text alone (see `detectors`). Without them a pattern finds all it found, and more.
"""

from __future__ import annotations

from collections.abc import Iterator

_NOTHING = "(?:)"
_CONDITIONS = frozenset({"^", "$", r"\b", r"\B", r"\A", r"\z"})


def unconditional(pattern: str) -> str:
    """Return a valid RE2 pattern with every condition replaced by what is always met."""
    return "".join(_NOTHING if atom in _CONDITIONS else atom for atom in _atoms(pattern))


def _atoms(pattern: str) -> Iterator[str]:
    """Yield escapes, quotations, classes and single characters, in order."""
    at = 0
    while at < len(pattern):
        end = _end_of_atom(pattern, at)
        yield pattern[at:end]
        at = end


def _end_of_atom(pattern: str, at: int) -> int:
    if pattern.startswith(r"\Q", at):
        closing = pattern.find(r"\E", at + 2)
        return len(pattern) if closing < 0 else closing + 2
    if pattern[at] == "\\":
        return at + 2
    if pattern[at] == "[":
        return _end_of_class(pattern, at)
    return at + 1


def _end_of_class(pattern: str, at: int) -> int:
    """Return where a class ends; a bracket that stands first in it is one of its characters."""
    at += 2 if pattern.startswith("^", at + 1) else 1
    if pattern.startswith("]", at):
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        if pattern.startswith("[:", at) and pattern.find(":]", at) > 0:
            at = pattern.find(":]", at) + 2
        else:
            at += 2 if pattern[at] == "\\" else 1
    return at + 1
