"""The kinds of sources, as settings and records name them; and how Vault is reached.

Apart from the sources, since their clients (boto3, hvac) take half a second to import.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LOCAL: Final = "local"
AWS: Final = "aws"
VAULT_TRANSIT: Final = "vault-transit"
VAULT_KV: Final = "vault-kv"
PROVIDERS: Final = (LOCAL, AWS, VAULT_TRANSIT, VAULT_KV)


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """Where Vault is and how we get in. token: else what token_file holds."""

    address: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    namespace: str = ""
    ca_file: str = ""
