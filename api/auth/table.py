"""The page of documentation about roles and permissions, out of the table that decides.

`python -m api.auth.table > deploy/permissions.md` writes it; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from api.auth.principal import GRANTS, Permission, Role
from api.auth.public import PUBLIC

PERMISSIONS: Final[Mapping[Permission, str]] = MappingProxyType(
    {
        Permission.RULES_READ: "See rules, their versions and exceptions, and notices about them.",
        Permission.RULES_WRITE: "Save, switch and delete rules and exceptions; take notices for "
        "read.",
        Permission.RULES_TEST: "Check a rule without saving it; ask for, watch and call off "
        "backtests, without the texts of rules.",
        Permission.RULES_SNOOZE: "Let a rule alert nobody for a time, and end that.",
        Permission.SIGNALS_READ: "See signals with the spans that prove them, what was folded of "
        "storms, the live stream, and traces that a backtest found.",
        Permission.SIGNALS_WRITE: "Move signals through their life, assign and link them, write "
        "notes.",
        Permission.TRACES_READ: "See the copy of any trace.",
        Permission.SPANS_INGEST: "Send spans.",
        Permission.TENANT_READ: "Be told about the tenant.",
        Permission.TENANT_WRITE: "Change the tenant's settings and members.",
        Permission.KEYS_WRITE: "Make and revoke API keys.",
        Permission.LETTERS_READ: "See dead letters, and what is kept of their content.",
        Permission.LETTERS_WRITE: "Put dead letters back or aside.",
        Permission.AUDIT_READ: "See and export the audit log.",
        Permission.EVIDENCE_READ: "See sealed evidence and its proofs, the matrix of controls and "
        "notices about them; verify records.",
        Permission.EVIDENCE_EXPORT: "Export evidence: packs, lists, reports and assessment "
        "results.",
        Permission.EVIDENCE_NOTICES: "Take notices about evidence for read.",
        Permission.TENANT_EXPORT: "Export all that the tenant has.",
        Permission.TENANT_DELETE: "Ask for the deletion of the tenant, and take that back.",
        Permission.REDACTION_REVEAL: "Be told what a token or an encrypted value stands for.",
    }
)
ROLES: Final[Mapping[Role, str]] = MappingProxyType(
    {
        Role.ADMIN: "Everything in the own tenant.",
        Role.DEVELOPER: "Writes rules, and sees what they find.",
        Role.SRE: "Works on signals and dead letters; tries and snoozes rules, and saves none.",
        Role.COMPLIANCE_VIEWER: "Sees and exports evidence, sees what was decided and changed, no "
        "traces.",
        Role.AUDITOR: "For a time: sees rules, signals, evidence and the audit log, and changes "
        "nothing. The membership has an end, after which it is none.",
        Role.VIEWER: "Of somebody whose role is not known: may sign in.",
        Role.API_CLIENT: "Of machines: sends spans, checks rules in CI.",
    }
)

_HEAD: Final = """\
# Who may do what

Written by `python -m api.auth.table > deploy/permissions.md` from the table that decides
(`api/auth/principal.py`). Whatever is not granted here is refused: 401 without a valid credential,
403 without the permission, and 404 for everything that belongs to another tenant, as if it were not
there. Every refusal is on the record of the audit log.
"""
_TAIL: Final = """\

These answer without a credential (`api/auth/public.py`); the service does not start with another
open route, nor with one that names no permission.
"""


def permissions_page() -> str:
    """Return the page as Markdown."""
    roles = "\n".join(f"| `{role}` | {meaning} |" for role, meaning in ROLES.items())
    header = "| | " + " | ".join(Role) + " |"
    line = "|---|" + ":-:|" * len(Role)
    rows = "\n".join(_row(permission) for permission in Permission)
    meanings = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in PERMISSIONS.items())
    public = "\n".join(f"* `{method} {path}`" for method, path in sorted(PUBLIC))
    return "\n".join(
        [
            _HEAD,
            "## Roles\n\n| role | is |\n|---|---|",
            f"{roles}\n",
            f"## Permissions of roles\n\n{header}\n{line}",
            f"{rows}\n",
            "## What a permission is for\n\n| permission | lets one |\n|---|---|",
            f"{meanings}\n",
            f"## Open to everybody\n{_TAIL}",
            f"{public}\n",
        ]
    )


def _row(permission: Permission) -> str:
    marks = " | ".join("x" if permission in GRANTS[role] else "" for role in Role)
    return f"| `{permission}` | {marks} |"


if __name__ == "__main__":
    print(permissions_page(), end="")
