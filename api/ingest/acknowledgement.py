"""One request's wait for all the records that hold something of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.kafka.producer import DeliveryFailed


class Acknowledgement:
    """Settles when every record it holds is settled; with the first error, if there was one.

    Belongs to the event loop: all methods are called in its thread. Made holding once, for the
    time in which parts are still handed over; `release` ends that.
    """

    def __init__(self, when_settled: Callable[[], None]) -> None:
        self._outstanding = 1
        self._error: DeliveryFailed | None = None
        self._when_settled = when_settled
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hold(self) -> None:
        """One more record holds something."""
        self._outstanding += 1

    def release(self, error: DeliveryFailed | None = None) -> None:
        """One record less; error says that Kafka did not acknowledge it."""
        self._outstanding -= 1
        self._error = self._error or error
        if self._outstanding:
            return
        self._when_settled()
        if self._future.done():  # nobody waits any more
            return
        if self._error is None:
            self._future.set_result(None)
        else:
            self._future.set_exception(self._error)

    async def wait(self, *, timeout_s: float) -> None:
        """Return once all is acknowledged. Raises DeliveryFailed, TimeoutError."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._future
        finally:
            self._future.cancel()
