"""Exceptions of a rule: whose violations are silenced, why, and until when.

The verdict is not theirs: what an exception silences is violated all the same. A filter is asked of
the span that stands for the signal (`dsl.showing`), of a signal of a rule over many traces of the
values of its key. Where the answer is unknown, nothing is silenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Any, Final, Self

from dsl.documents import Place, problem_at
from dsl.predicates import Test, compile_filter
from dsl.problems import Problem
from dsl.rule import check_filter
from dsl.spans import Span, SpanView

FIELDS: Final = ("where", "reason", "owner", "until")
A_WEEK: Final = timedelta(days=7)
"""So long before its end people are told."""


@dataclass(frozen=True)
class RuleException:
    """One exception. until: a day, which is the last one, or a moment with its offset from UTC.

    place: where `until` stands in the file, or the exception without one. judged: `where` with its
    literals as redaction leaves them in spans; empty: as it was written.
    """

    where: str
    reason: str
    owner: str = ""
    until: str = ""
    place: Place = field(default=Place(), compare=False, repr=False)
    judged: str = ""

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the exception that `to_dict` wrote; `judged` may have been put beside it."""
        where, reason, owner, until = (str(stored.get(name) or "") for name in FIELDS)
        return cls(where, reason, owner, until, judged=str(stored.get("judged") or ""))

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form: optional fields only where they were given."""
        found = {name: getattr(self, name) for name in FIELDS}
        return {name: text for name, text in found.items() if text}

    @cached_property
    def ends_at(self) -> datetime | None:
        """When it silences nothing more; None: never. An end that cannot be read is over."""
        try:
            return end_of(self.until) if self.until else None
        except ValueError:
            return datetime.min.replace(tzinfo=UTC)

    def is_over(self, at: datetime) -> bool:
        """Tell whether it silences nothing more at a time."""
        return self.ends_at is not None and self.ends_at <= at

    def ends_soon(self, at: datetime) -> bool:
        """Tell whether it ends within a week from a time."""
        return self.ends_at is not None and at < self.ends_at <= at + A_WEEK

    def holds_for(self, span: SpanView) -> bool:
        """Tell whether the span that stands for a signal certainly fulfils `where`."""
        return _test_of(self.judged or self.where)(span) is True


def silencing(
    exceptions: Iterable[RuleException], span: SpanView | None, *, at: datetime
) -> RuleException | None:
    """Return the first exception that silences a violation; at: when it was judged."""
    if span is None:
        return None
    return next((one for one in exceptions if not one.is_over(at) and one.holds_for(span)), None)


def span_of_key(key: Mapping[str, str]) -> SpanView:
    """Return what `where` is asked of for a rule over many traces: nothing but its key."""
    resource = {"service.name": key["service"]} if "service" in key else {}
    return Span(b"", name=key.get("name", ""), attributes=dict(key), resource=resource)


def end_of(until: str) -> datetime:
    """Return the moment at which an exception ends. Raises ValueError, with what was expected.

    2027-01-31: at the end of that day, UTC. 2027-01-31T18:00:00+01:00 or …Z: at that moment.
    """
    try:
        day = date.fromisoformat(until)
    except ValueError:
        return _moment(until)
    try:
        return datetime.combine(day + timedelta(days=1), time.min, UTC)
    except OverflowError:
        raise ValueError(_EXPECTED) from None


def _moment(until: str) -> datetime:
    try:
        found = datetime.fromisoformat(until)
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if found.tzinfo is None:
        raise ValueError(f"say from where the clock is: `{until}Z` for UTC")
    return found


_EXPECTED: Final = "write the last day (`2027-01-31`) or a moment (`2027-01-31T18:00:00Z`)"


def warnings_about(exceptions: Sequence[RuleException], *, at: datetime) -> tuple[Problem, ...]:
    """Return a warning for every exception that is over."""
    return tuple(
        problem_at("object.exception_over", one.place.line, one.place.column, until=one.until)
        for one in exceptions
        if one.is_over(at)
    )


@lru_cache(maxsize=1_000)
def _test_of(where: str) -> Test:
    checked = check_filter(where)
    if checked.filter is None:
        # Saved by another build. To silence what it cannot read would be the greater harm.
        return lambda _span: None
    return compile_filter(checked.filter)
