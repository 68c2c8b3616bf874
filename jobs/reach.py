"""`python -m jobs.reach`: how far back the log must be read to judge anew what was open.

Prints one JSON object: `reach_ms`, how long a record of spans may matter to a verdict;
`reached_ms`, the time of the first record that the job had not read for good (by the offsets that
its group has committed), null if it never read any. Arguments are those of the job.
"""

from __future__ import annotations

import json
import os
import sys

from jobs.settings import JobSettings, parse_settings
from jobs.span_log import SpanLog
from jobs.topics import TopicsUnfit, span_partitions
from udfs.flink.rules_log import FollowedRules, RulesLog, RulesLogUnavailable
from udfs.rulebook import RuleBook


def main() -> int:
    """Ask, print, and return the exit code."""
    settings = parse_settings(sys.argv[1:], os.environ)
    try:
        answer = {"reach_ms": reach_ms(settings), "reached_ms": reached_ms(settings)}
    except (TopicsUnfit, RulesLogUnavailable) as error:
        sys.exit(f"betrace refuses: {error}")
    print(json.dumps(answer))
    return 0


def reach_ms(settings: JobSettings) -> int:
    """Return the longest life and lateness of all tenants. Raises RulesLogUnavailable."""
    book = RuleBook()
    rules = FollowedRules(book, RulesLog(settings.rules_address))
    try:
        rules.read()
    finally:
        rules.close()
    return book.reach_ms()


def reached_ms(settings: JobSettings) -> int | None:
    """Return the time from which on nothing was read for good. Raises TopicsUnfit."""
    with SpanLog(settings, partitions=span_partitions(settings)) as log:
        first = log.first()
        committed = {
            number: max(offset, first[number])
            for number, offset in log.committed().items()
            if offset is not None
        }
        times = log.times_ms(committed) if committed else {}
    return min(times.values(), default=None)


if __name__ == "__main__":
    sys.exit(main())
