"""`NAME=value` files that a shell can source: written whole, readable by their owner only."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


def read_env_file(path: Path) -> dict[str, str]:
    """Values of a file written by `write_env_file`; an absent file is empty."""
    if not path.exists():
        return {}
    values: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, found, value = line.removeprefix("export ").partition("=")
        if found and not line.startswith("#"):
            values[name] = "".join(shlex.split(value))
    return values


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Replace `path` at once by `values` in their order, mode 600."""
    lines = ["# Addresses and credentials of one stack, for `. demo.env`. Keep it to yourself."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    write_private(path, "\n".join(lines) + "\n")


def update_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Add values to a file, or change them."""
    write_env_file(path, {**read_env_file(path), **values})


def write_private(path: Path, text: str) -> None:
    """Replace `path` at once by `text`; nobody but its owner may read it (mode 600)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
