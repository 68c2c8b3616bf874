"""Seeing signals appear in Postgres, as the API's pages see them: by notification and feed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

import psycopg

from api.bench.score import Pair

_PAUSE_S = 0.1
_CONNECT_S = 30.0
_OVERLAP_ROWS = 500
"""Transactions commit out of the order of their numbers: this far back is looked at again."""

_CHANGES = """
    select f.seq, s.rule_id, s.trace_id, s.verdict, s.revision, f.change = 'raised',
           extract(epoch from s.last_span_at) * 1000, extract(epoch from s.closed_at) * 1000,
           extract(epoch from s.judged_at) * 1000
    from signal_feed f
    join signals s on s.tenant_id = f.tenant_id and s.id = f.signal_id
    where f.tenant_id = %(tenant)s and f.seq > %(since)s
      and not exists (select from unnest(%(taken)s::bigint[]) t (seq) where t.seq = f.seq)
    order by f.seq
"""
_FINALS = """
    select rule_id, trace_id, verdict from signals where tenant_id = %(tenant)s
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A signal as it was when a change of it became visible; times in ms since the epoch.

    raised: it was new. closed_ms: None while the trace was open.
    """

    visible_ms: float
    rule_id: str
    trace_id: bytes
    verdict: str
    revision: int
    raised: bool
    last_span_ms: float
    closed_ms: float | None
    judged_ms: float


class SignalWatch:
    """Watches a tenant's signals from a thread of its own, as a context."""

    def __init__(self, *, dsn: str, tenant: str) -> None:
        """dsn: of the application's role."""
        self._dsn = dsn
        self._tenant = tenant
        self._seen: list[Seen] = []
        self._taken: set[int] = set()
        self._newest = 0
        self._revisions: dict[Pair, int] = {}
        self._lock = Lock()
        self._stop = Event()
        self._listening = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join(timeout=10)

    def wait_until_listening(self) -> None:
        """Wait until no later change can be missed. Raises what stopped the watch."""
        self._listening.wait(timeout=_CONNECT_S)
        self.since(0)

    def count(self) -> int:
        """Return how many judgements were seen so far."""
        with self._lock:
            return len(self._seen)

    def since(self, index: int) -> list[Seen]:
        """Return the judgements seen from the given one on. Raises what stopped the watch."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            return self._seen[index:]

    def finals(self) -> dict[Pair, str]:
        """Return the verdict of every signal that there is now."""
        with psycopg.connect(self._dsn) as connection:
            self._scope(connection)
            rows = connection.execute(_FINALS, {"tenant": self._tenant})
            return {(rule_id, bytes(trace_id)): verdict for rule_id, trace_id, verdict in rows}

    def _watch(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                connection.execute("listen signals")
                self._listening.set()
                while not self._stop.is_set():
                    # The connection is the generator's until it ends: first heard, then read.
                    if list(connection.notifies(timeout=0.5, stop_after=1)):
                        self._read(connection)
                        time.sleep(_PAUSE_S)
        except psycopg.Error as error:
            self._failure = error

    def _read(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            self._scope(connection)
            asked = {"tenant": self._tenant, "since": self._since(), "taken": list(self._taken)}
            new = connection.execute(_CHANGES, asked).fetchall()
        visible_ms = time.time() * 1000
        self._taken |= {row[0] for row in new}
        self._newest = max(self._taken, default=self._newest)
        self._taken = {seq for seq in self._taken if seq > self._since()}
        judged = [seen for row in new if self._is_judged_anew(seen := _seen(visible_ms, row))]
        with self._lock:
            self._seen += judged

    def _since(self) -> int:
        return max(self._newest - _OVERLAP_ROWS, 0)

    def _is_judged_anew(self, seen: Seen) -> bool:
        """Tell a judgement from what the worker adds later: copies of traces, explanations."""
        pair = (seen.rule_id, seen.trace_id)
        if self._revisions.get(pair, -1) >= seen.revision:
            return False
        self._revisions[pair] = seen.revision
        return True

    def _scope(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("select set_config('app.tenant_id', %s, true)", [self._tenant])


def _seen(visible_ms: float, row: tuple[Any, ...]) -> Seen:
    _, rule_id, trace_id, verdict, revision, raised, last_ms, closed_ms, judged_ms = row
    return Seen(
        visible_ms=visible_ms,
        rule_id=rule_id,
        trace_id=bytes(trace_id),
        verdict=verdict,
        revision=revision,
        raised=raised,
        last_span_ms=float(last_ms),
        closed_ms=None if closed_ms is None else float(closed_ms),
        judged_ms=float(judged_ms),
    )
