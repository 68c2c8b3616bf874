"""Customers of the demo shop: a few requests a second, some of which break a promise.

`python -m deploy.demo.traffic --seconds 1800 --rate 2`, with BETRACE_OTLP_HTTP,
BETRACE_OTLP_GRPC and BETRACE_API_KEY in the environment. It begins with one of each slip, so
that there is something to see at once, and ends by itself.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from deploy.demo.service import Collector, post
from deploy.demo.shop import ADMIN, CHECKOUT, PROFILE, shop

SLIP_EVERY = 15  # one request in so many goes wrong: rare enough to be seen as a violation


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a customer to the frontend."""

    route: str
    body: dict[str, Any] = field(default_factory=dict)


SLIPS = (
    Request(CHECKOUT, {"amount": 1800.0, "slip": "no fraud check"}),
    Request(PROFILE, {"slip": "no audit"}),
    Request(CHECKOUT, {"amount": 40.0, "slip": "retry storm"}),
    Request(ADMIN, {"slip": "no authorisation"}),
    Request(CHECKOUT, {"amount": 75.0, "declined": True, "slip": "ship anyway"}),
)


def requests(chance: random.Random) -> Iterator[Request]:
    """Endless requests as a day in the shop brings them, without slips."""
    while True:
        kind = chance.random()
        if kind < 0.55:
            amount = round(chance.expovariate(1 / 250), 2)
            yield Request(CHECKOUT, {"amount": amount, "declined": chance.random() < 0.05})
        elif kind < 0.9:
            yield Request(PROFILE)
        else:
            yield Request(ADMIN)


def traffic(chance: random.Random) -> Iterator[Request]:
    """Every slip once, then ordinary requests with a slip now and then."""
    ordinary = requests(chance)
    endless = (
        chance.choice(SLIPS) if chance.randrange(SLIP_EVERY) == 0 else next(ordinary)
        for _ in iter(int, 1)
    )
    return chain(SLIPS, endless)


def main(arguments: list[str]) -> int:
    """Send traffic until the time is over or we are told to stop."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.traffic")
    parser.add_argument("--seconds", type=float, default=1800, help="how long; 0: until stopped")
    parser.add_argument("--rate", type=float, default=2, help="requests per second")
    given = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    services = shop(
        Collector(
            http=os.environ["BETRACE_OTLP_HTTP"],
            grpc=os.environ["BETRACE_OTLP_GRPC"],
            api_key=os.environ["BETRACE_API_KEY"],
        )
    )
    chance = random.Random()
    end = time.monotonic() + (given.seconds or float("inf"))
    for request in traffic(chance):
        body = {"user": f"u{chance.randrange(500)}", **request.body}
        post(services["frontend"].address, request.route, body)
        if stop.wait(chance.expovariate(given.rate)) or time.monotonic() > end:
            break
    for service in services.values():
        service.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
