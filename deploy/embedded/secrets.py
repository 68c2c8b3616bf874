"""Keys and passwords of one stack: drawn by chance at its first start and kept from then on.

The master key has a file of its own, in the form that udfs/keysource/masters.py reads: whoever
rotates it appends a line.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.embedded.envfile import write_private


@dataclass(frozen=True, slots=True)
class Secrets:
    """Texts that are safe in URLs; at least 24 random bytes each."""

    secret_key: str
    database_owner: str
    database_app: str
    database_worker: str
    demo_password: str

    @classmethod
    def load(cls, path: Path) -> Secrets:
        """The stack's secrets, made and written (mode 600) if there are none yet."""
        if path.exists():
            return cls(**json.loads(path.read_text()))
        drawn = cls(
            secret_key=secrets.token_urlsafe(48),
            database_owner=secrets.token_urlsafe(24),
            database_app=secrets.token_urlsafe(24),
            database_worker=secrets.token_urlsafe(24),
            demo_password=secrets.token_urlsafe(12),
        )
        write_private(path, json.dumps(asdict(drawn), indent=1))
        return drawn


def have_master_keys(path: Path) -> None:
    """Draw the first master key (mode 600) if there is none yet.

    Its id is drawn as well: keys on record name it, so that one drawn anew is not taken for it.
    """
    if not path.exists():
        text = f"embedded-{secrets.token_hex(4)} {secrets.token_hex(32)}\n"
        write_private(path, "# Keep a copy: without it all keys of tenants are lost.\n" + text)
