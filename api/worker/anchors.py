"""The thread of the worker that hands checkpoints over: an event loop of its own, with its own
connections, so that nobody who does not answer holds anything else up."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from api.anchors.metrics import AnchorMetrics
from api.anchors.sealed_secrets import SecretBox
from api.anchors.sending import Sender, open_ways
from api.anchors.work import Anchoring
from api.auth.addresses import Networks
from api.database import DatabaseUnavailable, QueryTooSlow, open_pool
from api.keyring.config import KeyConfig
from api.keyring.wiring import open_keys
from api.mail import Mailer

PAUSE_S: Final = 5.0
_CONNECTIONS: Final = 4

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorSettings:
    """What it needs. networks: private ones that may be called. http: also to sinks."""

    keys: KeyConfig | None
    networks: Networks = ()
    http: bool = False
    mailer: Mailer | None = None


class AnchorKeeper:
    """Hands checkpoints over until told to stop. `run` is the body of a thread."""

    def __init__(
        self,
        settings: AnchorSettings,
        *,
        dsn: str,
        registry: CollectorRegistry,
        stop: threading.Event,
        pause_s: float = PAUSE_S,
    ) -> None:
        """dsn: of role betrace_worker."""
        self._settings = settings
        self._dsn = dsn
        self._metrics = AnchorMetrics(registry)
        self._stop = stop
        self._pause_s = pause_s

    def run(self) -> None:
        """Make a round, wait, and again."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        settings = self._settings
        ways = open_ways(
            networks=settings.networks, plain_http=settings.http, mailer=settings.mailer
        )
        async with open_pool(self._dsn, size=_CONNECTIONS, name="betrace worker anchors") as pool:
            sender = Sender(ways, SecretBox(open_keys(settings.keys, pool)))
            anchoring = Anchoring(pool, sender, self._metrics, stopped=self._stop.is_set)
            while not self._stop.is_set():
                try:
                    await anchoring.round()
                except (DatabaseUnavailable, QueryTooSlow) as error:
                    log.warning("anchors.database", cause=str(error.__cause__))
                await asyncio.to_thread(self._stop.wait, self._pause_s)
