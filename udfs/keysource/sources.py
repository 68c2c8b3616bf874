"""The sources of an installation: one that makes keys, and others that made keys before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from udfs.keysource.keys import KeyRecord, Sealed
from udfs.keysource.source import KeySource
from udfs.keysource.trouble import KeyDestroyed, KeyRefused


class Sources:
    """The first source makes new keys; each opens what it made."""

    def __init__(self, sources: Sequence[KeySource]) -> None:
        self.first = sources[0]
        self._by_provider = {source.provider: source for source in reversed(sources)}

    def __iter__(self) -> Iterator[KeySource]:
        return iter(self._by_provider.values())

    def opening(self, record: KeyRecord) -> tuple[KeySource, Sealed]:
        """Return the source that opens a key, and the key as it is kept.

        Raises KeyDestroyed, and KeyRefused if the source is not set up any more.
        """
        where = f"tenant {record.tenant}, key {record.id}"
        if record.sealed is None:
            raise KeyDestroyed(
                "the private part of the key was destroyed",
                where=where,
                next_step="Nothing brings it back.",
            )
        source = self._by_provider.get(record.sealed.provider)
        if source is None:
            raise KeyRefused(
                f"the key is kept by {record.sealed.provider!r}, which is not set up",
                where=where,
                next_step="Set up that provider in BETRACE_KEYS_BEFORE, then have keys rewrapped.",
            )
        return source, record.sealed
