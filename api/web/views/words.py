"""The words and tones that stand for the stored values of signals and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

SEVERITIES: Final[Mapping[str, str]] = MappingProxyType(
    {"critical": "Critical", "high": "High", "medium": "Medium", "low": "Low", "info": "Info"}
)
STATUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open": "Open",
        "investigating": "Investigating",
        "resolved": "Resolved",
        "false_positive": "False positive",
    }
)
DISPOSITION_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fixed": "Fixed",
        "wont_fix": "Will not be fixed",
        "expected": "Expected behaviour",
        "duplicate": "Duplicate of another",
        "rule_too_broad": "Rule too broad",
        "test_traffic": "Test traffic",
        "bad_data": "Wrong or missing data",
    }
)
STATES: Final[Mapping[str, str]] = MappingProxyType(
    {"active": "Active", "shadow": "Shadow", "off": "Off"}
)
"""The states that people put rules into."""
STATE_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {"quarantined": "In quarantine", **STATES}
)
SHOWN: Final[Mapping[str, str]] = MappingProxyType(
    {"shadow": "Shadow rules", "excepted": "Silenced", "all": "Alerts and silent ones"}
)
"""Which signals a list shows, but for alerts, which it shows unasked."""
VERDICTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "violated": "Violated",
        "satisfied": "Satisfied",
        "not_applicable": "Not applicable",
        "inconclusive": "Inconclusive",
    }
)
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing_parent": "A span names a parent that did not come. Check that every service on "
        "the path exports its spans.",
        "missing_spans": "Spans of the trace are missing.",
        "no_root": "The trace closed without a root span, so it is not known to be over.",
        "still_open": "The trace was still growing when its longest life was over.",
        "same_time": "Two spans start at the same time, so their order is unknown.",
        "sampled": "The tenant samples span by span, so an absent span proves nothing.",
        "truncated": "The trace is over a limit, so part of it was not looked at.",
        "rejected": "Spans of the trace were rejected when they came in.",
        "redacted": "An attribute the rule asks for was removed or dropped.",
        "bindings": "The rule has more combinations of spans than are judged.",
        "steps": "The judgement ran out of its budget of steps.",
        "rule_changed": "The trace began so close to a change of the rule that part of it was "
        "matched under the version before.",
        "gap": "Records are missing from the log of spans.",
        "failed": "The rule met an error of BeTrace on this trace. The job's log has it.",
        "late_evidence": "Spans that came late changed the verdict.",
        "seen_again": "What was expected was seen again.",
        "forgotten": "It was not seen for so long that it is not expected any more.",
        "regressed": "It happened again.",
    }
)
"""What each reason of an uncertain verdict means, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a field."""

    value: str
    label: str
    selected: bool


def choices(words: Mapping[str, str], selected: str, *, nothing: str = "") -> tuple[Choice, ...]:
    """Return a field's options; `nothing` is the label of an empty first one."""
    first = (Choice("", nothing, not selected),) if nothing else ()
    return first + tuple(Choice(value, words[value], value == selected) for value in words)


@dataclass(frozen=True, slots=True)
class Message:
    """A line on top of a page: how something went."""

    tone: str
    icon: str
    text: str

    @property
    def role(self) -> str:
        """The ARIA role: what went wrong is announced at once."""
        return "alert" if self.tone == "bad" else "status"


def good(text: str) -> Message:
    """Something was done."""
    return Message("good", "circle-check", text)


def bad(text: str) -> Message:
    """Something was refused."""
    return Message("bad", "circle-alert", text)


@dataclass(frozen=True, slots=True)
class Link:
    """Where to go next."""

    href: str
    label: str


def sentence(error: ValueError) -> str:
    """Return the words of a refused value as a sentence for its reader."""
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def doer(actor: str, acting: str) -> str:
    """Return who did something. acting: who acted in the actor's place, empty: nobody."""
    return f"{acting}, in the place of {actor}" if acting else actor


def as_word(values: Mapping[str, str], value: str, *, otherwise: str) -> str:
    """Return the value if it is one of the known, else `otherwise`: forms can be forged."""
    return value if value in values else otherwise
