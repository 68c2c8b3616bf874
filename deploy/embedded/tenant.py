"""The stack's first tenant, its person and its API key, made at the first start only.

What was made is noted in `run/tenant.json` and the key in `demo.env`, so that a later start
neither makes anything twice nor undoes what people changed since, rules included.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from deploy.embedded.apps import betrace
from deploy.embedded.component import StartError, Task
from deploy.embedded.envfile import read_env_file, update_env_file, write_private
from deploy.embedded.layout import Layout
from deploy.embedded.secrets import Secrets
from deploy.embedded.settings import REPOSITORY

TENANT = "demo"
EMAIL = "demo@betrace.example"
SETTLE = "2s"
RULES = REPOSITORY / "deploy" / "demo" / "rules.yaml"


def tenant(layout: Layout, environment: dict[str, str]) -> Task:
    """Tenant, person and key."""
    return Task(
        name="tenant",
        action=lambda: _make_tenant(layout, environment),
        needs=("schema", "topics"),
    )


def starter_rules(layout: Layout, environment: dict[str, str]) -> Task:
    """The rules of the demo shop, saved once."""
    return Task(name="rules", action=lambda: _make_rules(layout, environment), needs=("tenant",))


def _make_tenant(layout: Layout, environment: dict[str, str]) -> None:
    if "BETRACE_API_KEY" in read_env_file(layout.env_file):
        return
    password = Secrets.load(layout.secrets).demo_password
    made = _run(environment, "tenant", "create", TENANT, "--settle", SETTLE, "--if-absent")
    _run(
        environment,
        *("user", "create", EMAIL, "--tenant", TENANT, "--name", "Demo", "--role", "admin"),
        *("--password-stdin", "--if-absent"),
        stdin=password,
    )
    name = f"{TENANT}-{secrets.token_hex(3)}"
    key = _run(environment, "key", "create", "--tenant", TENANT, "--name", name, "--role", "admin")
    _note(layout, tenant_id=made["id"])
    update_env_file(
        layout.env_file,
        {
            "BETRACE_TENANT": made["id"],
            "BETRACE_LOGIN": EMAIL,
            "BETRACE_PASSWORD": password,
            "BETRACE_API_KEY": key["key"],
        },
    )


def _make_rules(layout: Layout, environment: dict[str, str]) -> None:
    if _notes(layout).get("rules"):
        return
    _run(environment, "rules", "apply", str(RULES), "--tenant", TENANT)
    _note(layout, rules=True)


def _run(environment: dict[str, str], *arguments: str, stdin: str = "") -> Any:
    """Run a `betrace` command; its answer. Raises StartError with what it said."""
    command = betrace(*arguments, "--json", environment=environment)
    done = subprocess.run(
        command.argv,
        env={**os.environ, **command.environment},
        cwd=command.folder,
        input=stdin + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StartError(f"betrace {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def _file(layout: Layout) -> Path:
    return layout.run / "tenant.json"


def _notes(layout: Layout) -> dict[str, object]:
    notes: dict[str, object] = (
        json.loads(_file(layout).read_text()) if _file(layout).exists() else {}
    )
    return notes


def _note(layout: Layout, **facts: object) -> None:
    write_private(_file(layout), json.dumps({**_notes(layout), **facts}))
