"""Mails to those who look after a tenant, about its deletion.

A mail that is not taken stops nothing: pages say the same, and the log has why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from api.mail import Mail, Mailer, MailUnavailable
from api.tenants.deletion import Deletion

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 4


async def tell_asked(
    mailer: Mailer | None, addresses: Sequence[str], deletion: Deletion, *, site: str, by: str
) -> None:
    """Tell that the deletion was asked for. by: as people know whoever asked."""
    text = f"""\
Hello,

{by} has asked for the deletion of {deletion.title} in BeTrace.

On {_day(deletion.due_at)} all of it is deleted: rules, signals, traces, people, keys and settings.
Nobody can bring it back then. Until then it takes no spans and judges none, and all of it can be
read and exported.

Export it, or keep it: {site}/settings/data
"""
    await _send(mailer, addresses, f"{deletion.title} in BeTrace is to be deleted", text)


async def tell_kept(
    mailer: Mailer | None, addresses: Sequence[str], deletion: Deletion, *, by: str
) -> None:
    """Tell that the tenant is kept after all. by: as people know whoever decided so."""
    text = f"""\
Hello,

{by} has taken back the deletion of {deletion.title} in BeTrace. It takes spans again, and its rules
are on again as they were before.
"""
    await _send(mailer, addresses, f"{deletion.title} in BeTrace is kept", text)


async def _send(mailer: Mailer | None, addresses: Sequence[str], subject: str, text: str) -> None:
    if mailer is None:
        return
    turn = asyncio.Semaphore(_AT_ONCE)

    async def send(address: str) -> None:
        async with turn:
            try:
                await mailer.send(Mail(address, subject, text))
            except MailUnavailable as error:
                log.warning("deletion.not_mailed", cause=str(error))

    await asyncio.gather(*(send(address) for address in addresses))


def _day(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%-d %B %Y, %H:%M} UTC" if at else ""
