"""The panel that lets a rule be silent for a time, and says that it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from api.rules.model import Rule
from api.snoozes.model import REASON_MAX, Snooze
from api.web.views.links import rule_href
from api.web.views.moments import Moment, minute_moment
from api.web.views.words import Choice, choices, doer

SPANS: Final = {"1": "1 hour", "4": "4 hours", "24": "1 day", "168": "7 days", "720": "30 days"}
"""For how many hours a rule may be snoozed on its page; scripts say any moment."""
USUAL: Final = "4"


@dataclass(frozen=True, slots=True)
class Running:
    """What silences the rule now."""

    until: Moment
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SnoozePanel:
    """Whether a rule is silent, and the form that lets it be.

    href: where it is snoozed; empty for who may not. end_href: where it is woken.
    """

    running: Running | None
    href: str
    end_href: str
    spans: tuple[Choice, ...]
    reason_max: int = REASON_MAX


def snooze_panel(rule: Rule, snooze: Snooze | None, *, may_snooze: bool) -> SnoozePanel | None:
    """Return the panel; None where there is nothing to say or do."""
    may_snooze = may_snooze and not rule.deleted and rule.judges
    if snooze is None and not may_snooze:
        return None
    place = f"{rule_href(rule.id)}/snooze"
    return SnoozePanel(
        running=_running(snooze) if snooze else None,
        href=place if may_snooze else "",
        end_href=f"{place}/end" if may_snooze and snooze else "",
        spans=choices(SPANS, USUAL),
    )


def _running(snooze: Snooze) -> Running:
    by = doer(snooze.actor, snooze.acting)
    return Running(minute_moment(snooze.until_at), by, snooze.reason)


def span_of(hours: str) -> timedelta:
    """Return how long a choice of the form lasts; the usual one for what the form does not have."""
    return timedelta(hours=int(hours if hours in SPANS else USUAL))
