"""What the terminal shows: colours by role, and none where nobody would see them."""

from __future__ import annotations

import os
import re
from typing import Any, Final

import typer

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "place": {"bold": True},
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan", "bold": True},
    "code": {"dim": True},
    "gutter": {"fg": "blue"},
    "caret": {"fg": "red"},
    "hint": {"fg": "green"},
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "doubt": {"fg": "yellow"},
    "removed": {"fg": "red"},
    "added": {"fg": "green"},
}
_STATE_ROLES: Final = {
    # Whether true is good depends on the clause.
    "true": "note",
    "false": "code",
    "unknown": "doubt",
    "satisfied": "good",
    "violated": "bad",
    "inconclusive": "doubt",
    "not_applicable": "code",
}
_STATE = re.compile(
    r"(?P<before>^|^  |^(?:when|always|never) is )"
    r"(?P<state>true|false|unknown|satisfied|violated|inconclusive|not_applicable)(?= |$)"
)


def paint(role: str, text: str) -> str:
    """Return a text in the colour of its role (see `dsl.rendering`)."""
    return typer.style(text, **_STYLES[role])


def say(text: str, *, err: bool = False) -> None:
    """Print a text; colours are left out where it is no terminal, or NO_COLOR is set."""
    typer.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)


def paint_states(text: str) -> str:
    """Colour the verdict and the state of each condition of an explanation."""
    return "\n".join(_STATE.sub(_paint_state, line) for line in text.split("\n"))


def _paint_state(found: re.Match[str]) -> str:
    state = found["state"]
    return found["before"] + paint(_STATE_ROLES[state], state)


def counted(count: int, noun: str) -> str:
    """Return `1 rule`, `2 rules`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
