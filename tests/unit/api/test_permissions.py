"""The table of roles and permissions, whole; and who may make a scope."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest

from api.auth.principal import GRANTS, ApiKeyPrincipal, Permission, Role, TenantScope, grant_scope
from api.auth.table import PERMISSIONS, ROLES, permissions_page
from api.operators.principal import OperatorScope

REPOSITORY = Path(__file__).resolve().parents[3]
TABLE = """
                   admin developer sre compliance-viewer auditor viewer api-client
rules.read         x     x         x   -                 x       -      -
rules.write        x     x         -   -                 -       -      -
rules.test         x     x         x   -                 -       -      x
rules.snooze       x     x         x   -                 -       -      -
signals.read       x     x         x   -                 x       -      -
signals.write      x     -         x   -                 -       -      -
traces.read        x     x         x   -                 -       -      -
spans.ingest       x     x         x   -                 -       -      x
tenant.read        x     x         x   x                 x       x      -
tenant.write       x     -         -   -                 -       -      -
keys.write         x     -         -   -                 -       -      -
dead-letters.read  x     x         x   -                 -       -      -
dead-letters.write x     -         x   -                 -       -      -
audit.read         x     -         -   x                 x       -      -
evidence.read      x     -         -   x                 x       -      -
evidence.export    x     -         -   x                 x       -      -
evidence.notices   x     -         -   x                 -       -      -
tenant.export      x     -         -   -                 -       -      -
tenant.delete      x     -         -   -                 -       -      -
redaction.reveal   x     -         -   -                 -       -      -
"""


def test_every_role_has_exactly_the_permissions_of_the_table() -> None:
    header, *lines = [line.split() for line in TABLE.strip().splitlines()]
    expected = {
        (Role(role), Permission(name)): mark == "x"
        for name, *marks in lines
        for role, mark in zip(header, marks, strict=True)
    }
    assert expected == {
        (role, permission): permission in GRANTS[role] for role in Role for permission in Permission
    }


def test_the_page_of_documentation_is_the_table() -> None:
    assert PERMISSIONS.keys() == set(Permission)
    assert ROLES.keys() == set(Role)
    assert (REPOSITORY / "deploy" / "permissions.md").read_text() == permissions_page()


def test_a_principal_may_what_its_role_grants() -> None:
    principal = ApiKeyPrincipal(
        uuid4(),
        "collector",
        Role.API_CLIENT,
        grant_scope(uuid4(), actor="key:collector"),
        GRANTS[Role.API_CLIENT],
    )
    assert principal.may(Permission.SPANS_INGEST)
    assert not principal.may(Permission.RULES_READ)


def test_a_scope_cannot_be_built_by_hand() -> None:
    with pytest.raises(TypeError, match="granted by authentication"):
        TenantScope(uuid4(), "mallory", object())


def test_only_their_authentication_grants_the_scope_of_operators() -> None:
    callers = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "api").rglob("*.py")
        if re.search(r"\bgrant_operator\(", path.read_text())
    }
    assert callers == {"api/operators/principal.py", "api/operators/sign_in.py"}
    with pytest.raises(TypeError, match="granted by authentication"):
        OperatorScope(b"", "operator:mallory", object())


def test_keys_of_operators_are_made_on_the_host_alone() -> None:
    callers = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "api").rglob("*.py")
        if re.search(r"\bcreate_operator_key\(", path.read_text())
    }
    assert callers == {"api/operators/making.py", "api/command/operators.py"}


def test_only_authentication_and_operators_grant_scopes() -> None:
    callers = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "api").rglob("*.py")
        if re.search(r"\bgrant_scope\(", path.read_text())
    }
    assert callers == {
        "api/anchors/work.py",
        "api/auth/principal.py",
        "api/auth/key_verifier.py",
        "api/auth/sessions.py",
        "api/command/operator.py",
        "api/invitations/accepting.py",
        "api/identity/bearers.py",
        "api/identity/people.py",
        "api/operators/actions.py",
        "api/evidence/quiet.py",
        "api/evidence/sealing.py",
        "api/keyring/shelf.py",
        "api/redaction/counting.py",
        "api/redaction/redactors.py",
        "api/redaction/vault.py",
        "api/redaction/wanted.py",
        "api/rules/outbox.py",
        "api/rules/quarantine.py",
        "api/tenants/purge.py",
        "api/usage/service.py",
    }
