"""Times and durations as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_SECONDS_IN = ((3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for a <time> element: iso for machines (and the script), text in UTC for people."""

    iso: str
    text: str


def moment(at: datetime) -> Moment:
    """Return the moment of an aware datetime, to the second."""
    utc = at.astimezone(UTC)
    return Moment(utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%-d %b %Y, %H:%M:%S UTC"))


def minute_moment(at: datetime) -> Moment:
    """Return the moment of an aware datetime to come, for people to the minute."""
    return Moment(moment(at).iso, f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC")


def exact_moment(time_ns: int) -> Moment:
    """Return the moment of nanoseconds since the epoch, to the millisecond."""
    utc = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    ms = time_ns // 1_000_000 % 1000
    return Moment(
        f"{utc:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z", f"{utc.strftime('%-d %b %Y, %H:%M:%S')}.{ms:03d} UTC"
    )


def between(first: datetime, last: datetime) -> str:
    """Return a stretch of time to the minute: between 14:02 and 14:09 UTC on 26 Nov 2026."""
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    since, until = f"{first:%H:%M}", f"{last:%H:%M} UTC on {last:%-d %b %Y}"
    if first.date() != last.date():
        return f"between {since} UTC on {first:%-d %b %Y} and {until}"
    return f"at {until}" if since == f"{last:%H:%M}" else f"between {since} and {until}"


def duration_text(duration_ns: int) -> str:
    """Return a duration with three significant digits: 950 ns, 12.3 ms, 4.05 s, 2 min 5 s."""
    if duration_ns < 0:
        return f"-{duration_text(-duration_ns)}"
    seconds = duration_ns // 1_000_000_000
    for size, unit in _SECONDS_IN:
        if seconds >= size:
            smaller = seconds % size // (60 if size == 3600 else 1)
            smaller_unit = "min" if size == 3600 else "s"
            return f"{seconds // size} {unit}" + (f" {smaller} {smaller_unit}" if smaller else "")
    for size, unit in _UNITS:
        if duration_ns >= size:
            return f"{_three_digits(duration_ns / size)} {unit}"
    return f"{duration_ns} ns"


def _three_digits(number: float) -> str:
    places = 0 if number >= 100 else 1 if number >= 10 else 2
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
