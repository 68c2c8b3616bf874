"""Notices: what BeTrace did or found, for those who look after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.client.connection import Connection
from api.notices.schemas import NoticeBody, NoticePageBody


@dataclass(frozen=True, slots=True)
class Notices:
    """The notices that the key is told of."""

    _to: Connection

    def each(
        self,
        *,
        acknowledged: bool | None = None,
        rule_id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[NoticeBody]:
        """Yield notices, newest first."""
        query = {"acknowledged": acknowledged, "rule_id": rule_id}
        return self._to.pages("/notices", NoticePageBody, limit=limit, query=query)

    def acknowledge(self, notice_id: str) -> NoticeBody:
        """Take a notice for read."""
        return self._to.ask(
            "POST", "/notices/{notice_id}/acknowledge", NoticeBody, notice_id=notice_id
        )
