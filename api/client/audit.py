"""The audit log: who did what, and who was refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Literal, TypedDict, Unpack

from api.audit.record import Outcome
from api.audit.schemas import AuditEntryBody, AuditPageBody
from api.client.connection import Connection


class AuditQuery(TypedDict, total=False):
    """Which rows. action: one, or `rule` for all of rules. from_at inclusive, to_at exclusive."""

    actor: str
    action: str
    target: str
    outcome: Outcome
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log of the tenant."""

    _to: Connection

    def each(
        self, *, limit: int | None = None, **chosen: Unpack[AuditQuery]
    ) -> Iterator[AuditEntryBody]:
        """Yield rows, newest first."""
        return self._to.pages("/audit", AuditPageBody, limit=limit, query=chosen)

    def export(
        self,
        into: BinaryIO,
        *,
        form: Literal["jsonl", "csv"] = "jsonl",
        **chosen: Unpack[AuditQuery],
    ) -> int:
        """Write the log into a file, up to 100,000 rows; return its bytes. It is recorded."""
        return self._to.save("GET", "/audit/export", into, query={**chosen, "format": form})
