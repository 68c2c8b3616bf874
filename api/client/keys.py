"""API keys: made, rotated, revoked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from api.client.connection import Connection
from api.keys.schemas import KeyBody, KeyDraftBody, KeyPageBody, MadeKeyBody, RotationBody


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the tenant."""

    _to: Connection

    def each(self, *, ended: bool = False, limit: int | None = None) -> Iterator[KeyBody]:
        """Yield keys, newest first. ended: those that have ended as well."""
        return self._to.pages("/keys", KeyPageBody, limit=limit, query={"ended": ended})

    def get(self, key_id: UUID) -> KeyBody:
        """Return a key without its text."""
        return self._to.ask("GET", "/keys/{key_id}", KeyBody, key_id=key_id)

    def make(self, draft: KeyDraftBody) -> MadeKeyBody:
        """Make a key. Its text is told now and never again."""
        return self._to.ask("POST", "/keys", MadeKeyBody, body=draft)

    def rotate(self, key_id: UUID, rotation: RotationBody) -> MadeKeyBody:
        """Make a key in the place of one that goes on for a while."""
        return self._to.ask(
            "POST", "/keys/{key_id}/rotate", MadeKeyBody, body=rotation, key_id=key_id
        )

    def revoke(self, key_id: UUID) -> KeyBody:
        """Let a key be good for nothing from now on."""
        return self._to.ask("POST", "/keys/{key_id}/revoke", KeyBody, key_id=key_id)
