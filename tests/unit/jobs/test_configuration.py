"""What Flink's options for the job do to its Python workers."""

from __future__ import annotations

from typing import Any

from pyflink.fn_execution.state_impl import CachedMapState

from jobs.configuration import job_configuration
from jobs.settings import parse_settings

KEPT_FOR = 100
"""A key is removed when so many others were put after it."""


def test_a_worker_keeps_no_name_of_a_key_that_was_removed() -> None:
    options = job_configuration(parse_settings([], {}))
    size = int(options["python.map-state.read-cache-size"])
    assert names_kept(CachedMapState(size), puts=10 * KEPT_FOR) <= KEPT_FOR
    as_shipped = names_kept(CachedMapState(1_000), puts=10 * KEPT_FOR)
    assert as_shipped > KEPT_FOR, "PyFlink has mended it: see decision 0061"


def names_kept(cache: Any, *, puts: int) -> int:
    """Put keys and remove each some time later; return how many names the cache has then."""
    for number in range(puts):
        cache.put(number, (True, b""))
        if number >= KEPT_FOR:
            cache.put(number - KEPT_FOR, (False, None))
    return len(cache.get_cached_keys())
