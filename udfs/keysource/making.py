"""The next key of a tenant and purpose: several processes may make it at once, one is the next."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid4

from udfs.keysource.keys import Binding, KeyDraft, KeyRecord, Purpose
from udfs.keysource.shelf import KeyShelf
from udfs.keysource.source import KeySource
from udfs.keysource.trouble import KeysUnavailable, UnknownKey

BETRACE: Final = "betrace"
"""Who makes keys that nobody asked for by hand."""


async def make_next(
    source: KeySource,
    shelf: KeyShelf,
    *,
    tenant: UUID,
    purpose: Purpose,
    after: KeyRecord | None,
    by: str,
) -> KeyRecord:
    """Make the generation after a key, and return it or that of who was faster."""
    binding = Binding(tenant, purpose, uuid4())
    generation = after.generation + 1 if after else 1
    draft = await asyncio.to_thread(_draft, source, binding, generation=generation, by=by)
    added = await shelf.add(draft)
    if added is not None:
        return added
    # If it cannot be destroyed now, a key that nobody knows of is left in the source.
    with suppress(KeysUnavailable):
        await asyncio.to_thread(source.destroy, draft.sealed, binding)
    winner = await shelf.newest(tenant, purpose)
    if winner is None:
        raise UnknownKey(
            "the tenant lost its keys meanwhile",
            where=f"tenant {tenant}",
            next_step="It is being deleted.",
        )
    return winner


def _draft(source: KeySource, binding: Binding, *, generation: int, by: str) -> KeyDraft:
    if binding.purpose is Purpose.SIGNING:
        signer = source.new_signer(binding)
        sealed, public_key = signer.sealed, signer.public_key
    else:
        sealed, public_key = source.generate(binding).sealed, None
    return KeyDraft(
        id=binding.key_id,
        tenant=binding.tenant,
        purpose=binding.purpose,
        generation=generation,
        sealed=sealed,
        public_key=public_key,
        created_by=by,
    )
