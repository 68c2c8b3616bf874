"""Principals, what they may do, and the scope that every store function asks for.

A `TenantScope` is the proof that somebody was authenticated for a tenant. Only `grant_scope` makes
one, and only authentication and the operator's command line call it (a test looks).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from api.auth.addresses import Networks
from api.limits.settings import AS_INSTALLED, TenantLimits


class Permission(StrEnum):
    """What a route may ask for. A route without one is refused at start-up."""

    RULES_READ = "rules.read"
    RULES_WRITE = "rules.write"
    RULES_TEST = "rules.test"
    RULES_SNOOZE = "rules.snooze"
    SIGNALS_READ = "signals.read"
    SIGNALS_WRITE = "signals.write"
    TRACES_READ = "traces.read"
    SPANS_INGEST = "spans.ingest"
    TENANT_READ = "tenant.read"
    TENANT_WRITE = "tenant.write"
    KEYS_WRITE = "keys.write"
    LETTERS_READ = "dead-letters.read"
    LETTERS_WRITE = "dead-letters.write"
    AUDIT_READ = "audit.read"
    EVIDENCE_READ = "evidence.read"
    EVIDENCE_EXPORT = "evidence.export"
    EVIDENCE_NOTICES = "evidence.notices"
    TENANT_EXPORT = "tenant.export"
    TENANT_DELETE = "tenant.delete"
    REDACTION_REVEAL = "redaction.reveal"


class Role(StrEnum):
    """Roles of people and API keys."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    SRE = "sre"
    COMPLIANCE_VIEWER = "compliance-viewer"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    API_CLIENT = "api-client"


MACHINE_ROLES: Final = tuple(role for role in Role if role is not Role.AUDITOR)
"""Roles that API keys may have; auditors are people."""

_P = Permission
GRANTS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Permission),
        Role.DEVELOPER: frozenset(
            {
                _P.RULES_READ,
                _P.RULES_WRITE,
                _P.RULES_TEST,
                _P.RULES_SNOOZE,
                _P.SIGNALS_READ,
                _P.TRACES_READ,
                _P.SPANS_INGEST,
                _P.TENANT_READ,
                _P.LETTERS_READ,
            }
        ),
        Role.SRE: frozenset(
            {
                _P.RULES_READ,
                _P.RULES_TEST,
                _P.RULES_SNOOZE,
                _P.SIGNALS_READ,
                _P.SIGNALS_WRITE,
                _P.TRACES_READ,
                _P.SPANS_INGEST,
                _P.TENANT_READ,
                _P.LETTERS_READ,
                _P.LETTERS_WRITE,
            }
        ),
        Role.COMPLIANCE_VIEWER: frozenset(
            {
                _P.TENANT_READ,
                _P.AUDIT_READ,
                _P.EVIDENCE_READ,
                _P.EVIDENCE_EXPORT,
                _P.EVIDENCE_NOTICES,
            }
        ),
        Role.AUDITOR: frozenset(
            {
                _P.TENANT_READ,
                _P.AUDIT_READ,
                _P.RULES_READ,
                _P.SIGNALS_READ,
                _P.EVIDENCE_READ,
                _P.EVIDENCE_EXPORT,
            }
        ),
        Role.VIEWER: frozenset({_P.TENANT_READ}),
        Role.API_CLIENT: frozenset({_P.SPANS_INGEST, _P.RULES_TEST}),
    }
)
"""The table of R1.07. Deny unless listed."""

PAUSED: Final = frozenset({_P.SPANS_INGEST, _P.RULES_WRITE, _P.LETTERS_WRITE})
"""What nobody may in a tenant that is to be deleted: it takes no spans and judges none."""

WITHHELD: Final = frozenset(
    {_P.TENANT_WRITE, _P.TENANT_EXPORT, _P.TENANT_DELETE, _P.KEYS_WRITE, _P.REDACTION_REVEAL}
)
"""What nobody may do in another's place, whatever that person's role: it outlasts the visit."""

_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class TenantScope:
    """The tenant a transaction may see, and who is written into histories.

    acting: who acts in the actor's place, as the provider says; empty: nobody.
    Not to be built by hand: see `grant_scope`.
    """

    tenant_id: UUID
    actor: str
    seal: object = field(repr=False, compare=False)
    acting: str = ""

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("a TenantScope is granted by authentication, never built")


def grant_scope(tenant_id: UUID, *, actor: str, acting: str = "") -> TenantScope:
    """Return the scope of somebody who has just been authenticated for the tenant."""
    return TenantScope(tenant_id, actor, _SEAL, acting)


def is_withheld(permission: Permission, acting: str) -> bool:
    """Return whether somebody who acts in another's place lacks a permission for that alone."""
    return bool(acting) and permission in WITHHELD


class _Admitted(ABC):
    """Whoever was let into a tenant. delete_after: when that is deleted, None: it is not to be."""

    __slots__ = ()
    delete_after: datetime | None

    @abstractmethod
    def holds(self, permission: Permission) -> bool:
        """Return whether the permission is granted."""

    def may(self, permission: Permission) -> bool:
        """Return whether the permission is granted and the tenant is open for it."""
        is_paused = self.delete_after is not None and permission in PAUSED
        return self.holds(permission) and not is_paused


class _ByRole(_Admitted):
    """Whose role in the tenant grants what they may."""

    __slots__ = ()
    role: Role
    scope: TenantScope

    @property
    def acting(self) -> str:
        """Who acts in their place, empty: nobody."""
        return self.scope.acting

    def holds(self, permission: Permission) -> bool:
        """Return whether the role grants the permission, in another's place as well."""
        return permission in GRANTS[self.role] and not is_withheld(permission, self.acting)


@dataclass(frozen=True, slots=True)
class ApiKeyPrincipal(_Admitted):
    """A request signed by an API key.

    role: None for a key with scopes of its own; permissions are those of either.
    networks: where the key may be used from, empty: anywhere. expires_at: None: never.
    limits: what the tenant has in place of the installation's. delete_after: when the tenant is
    deleted, None: it is not to be.
    """

    key_id: UUID
    name: str
    role: Role | None
    scope: TenantScope
    permissions: frozenset[Permission]
    networks: Networks = ()
    expires_at: datetime | None = None
    limits: TenantLimits = AS_INSTALLED
    delete_after: datetime | None = None

    def holds(self, permission: Permission) -> bool:
        """Return whether the key's role or its scopes grant the permission."""
        return permission in self.permissions


@dataclass(frozen=True, slots=True)
class Membership:
    """A tenant that a person belongs to, and as what."""

    tenant_id: UUID
    tenant_name: str
    role: Role


@dataclass(frozen=True, slots=True)
class UserPrincipal(_ByRole):
    """A signed-in person, in the tenant of the session.

    others: their other tenants, the first ones. delete_after: when the tenant is deleted, None: it
    is not to be. signed_in_at: when they last proved who they are, None where that is not known.
    """

    user_id: UUID
    email: str
    name: str
    role: Role
    scope: TenantScope
    csrf_token: str
    tenant_name: str = ""
    others: tuple[Membership, ...] = ()
    limits: TenantLimits = AS_INSTALLED
    delete_after: datetime | None = None
    signed_in_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BearerPrincipal(_ByRole):
    """A request with an access token of the identity provider.

    actor: user:<id> for a person's token, client:<client id> for a program's. name: the person's
    address, or the client id.
    """

    actor: str
    name: str
    role: Role
    scope: TenantScope
    limits: TenantLimits = AS_INSTALLED
    delete_after: datetime | None = None


Principal = ApiKeyPrincipal | UserPrincipal | BearerPrincipal
