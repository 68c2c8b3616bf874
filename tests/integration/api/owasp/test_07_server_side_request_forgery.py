"""API7:2023 Server side request forgery: one way out, and it does not lead inside.

`tests/unit/outbound` tries it on real servers; here stands that there is no other way.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import api
from api.outbound.calls import CallFailed, CallRefused, Outbound

ROOT = Path(api.__file__).parent
OWN_SERVERS = {
    "bench",  # of the benchmark's own stack
    "client",  # scripts, on their users' machines: nothing that serves may import it either
    "command",  # the command line, on its user's machine
    "identity",  # the identity provider, at an address of the operator's
    "job",  # Flink, likewise
    "worker",  # the same
}
CLIENTS = {"httpx", "requests", "aiohttp", "urllib.request", "http.client", "httpcore"}


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1:8080/health/live",
        "https://[::1]/",
        "https://localhost/",
        "http://example.com/",
        "file:///etc/passwd",
    ],
)
async def test_the_way_out_does_not_lead_inside(url: str) -> None:
    with pytest.raises((CallRefused, CallFailed)):
        await Outbound().call("GET", url)


def test_nothing_that_serves_requests_calls_out_by_another_way() -> None:
    others = {}
    for path in ROOT.rglob("*.py"):
        folder = path.relative_to(ROOT).parts[0]
        if folder in OWN_SERVERS or folder == "outbound" or "node_modules" in path.parts:
            continue
        imported = _imports(path)
        if found := {name for name in imported if name in CLIENTS or _is_ours(name)}:
            others[str(path.relative_to(ROOT))] = found
    assert others == {}


def _is_ours(module: str) -> bool:
    return f"{module}.".startswith("api.client.")


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names
