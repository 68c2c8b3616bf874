"""What a snapshot says about itself: the formats of its state, and the rules log that it goes by.

The text is the name of an operator that has no state, and so stands in the metadata of every
checkpoint and savepoint, wherever they are kept and whoever copies them:

    betrace state: block=1 facts=2 keygroups=128 lane=2 lanes=32 … rules=12:9f86d081884c7d65

rules: how many records of the rules log there were at the submission, of the first thousand, and a
hash of them. Numbers of predicates in state mean what the log says: under another log they would
mean something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Self

from jobs.settings import JobSettings
from udfs.flink.rules_log import RulesLog
from udfs.formats import WRITES, unreadable

CARRIER = "datastreamtotable"
"""The uid of the operator whose name it is: its metrics interest nobody."""
_TITLE = "betrace state:"
_MOST_RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class Inscription:
    """formats: as `udfs.formats.WRITES`. rules_count, rules_digest: see above."""

    formats: Mapping[str, int]
    rules_count: int
    rules_digest: str

    def text(self) -> str:
        """Return the name to give."""
        formats = " ".join(f"{name}={version}" for name, version in sorted(self.formats.items()))
        return f"{_TITLE} {formats} rules={self.rules_count}:{self.rules_digest}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a name; None if it is no inscription."""
        if not text.startswith(_TITLE):
            return None
        pairs = dict(word.split("=", 1) for word in text.removeprefix(_TITLE).split())
        count, _, digest = pairs.pop("rules", "0:").partition(":")
        return cls({name: int(version) for name, version in pairs.items()}, int(count), digest)

    def problems(self, rules: Iterable[bytes]) -> list[str]:
        """Return why this build cannot go on from the state, given the rules log of now."""
        problems = unreadable(self.formats)
        if _digest(rules, self.rules_count) != (self.rules_count, self.rules_digest):
            problems.append(
                f"the first {self.rules_count} records of the rules log are not those that it was "
                "made with: the numbers in it would mean other predicates"
            )
        return problems


def inscription_now(settings: JobSettings) -> Inscription:
    """Return what to write into the snapshots of a job that is submitted now."""
    return Inscription(WRITES, *_digest(rules_records(settings), _MOST_RECORDS))


def rules_records(settings: JobSettings) -> Iterable[bytes]:
    """Yield the records of the rules log from its beginning. Raises RulesLogUnavailable."""
    log = RulesLog(settings.rules_address)
    try:
        for record in log.read_to_end():
            yield record.value
    finally:
        log.close()


def _digest(records: Iterable[bytes], most: int) -> tuple[int, str]:
    hashed = blake2b(digest_size=8)
    count = 0
    for record in islice(records, most):
        count += 1
        hashed.update(len(record).to_bytes(8, "big"))
        hashed.update(record)
    return count, hashed.hexdigest()
