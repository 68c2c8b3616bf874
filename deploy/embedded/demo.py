"""The demo shop as a part of the stack: it sends traffic for a while and then ends by itself."""

from __future__ import annotations

import sys

from deploy.embedded.component import Command, Service
from deploy.embedded.envfile import read_env_file
from deploy.embedded.layout import Layout
from deploy.embedded.settings import REPOSITORY, StackSettings


def demo(settings: StackSettings, layout: Layout, environment: dict[str, str]) -> Service:
    """Traffic, once there are rules to judge it by and a job that does."""
    return Service(
        name="demo",
        command=lambda: Command(
            argv=(
                *(sys.executable, "-m", "deploy.demo.traffic"),
                *("--seconds", str(settings.demo_seconds), "--rate", str(settings.demo_rate)),
            ),
            environment={**environment, **read_env_file(layout.env_file)},
            folder=REPOSITORY,
        ),
        ready=lambda: True,
        needs=("rules", "ingest", "job"),
        ends=True,
    )
