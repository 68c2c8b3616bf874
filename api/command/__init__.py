"""The `betrace` command: one sub-command group a file, each a thin caller of the services."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from api.command.app import main as run

    run()
