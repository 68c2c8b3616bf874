"""Take pictures of every page: `python -m tests.e2e.gallery`, or `make screenshots`.

Light, dark and narrow with one of everything; with nothing; and when the database is away, when
something is not there, and when somebody may not see it. To be looked at by people: nothing is
asserted but that browsers do not complain.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from playwright.sync_api import Browser, Page
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.auth.principal import Role
from tests.e2e.browser import running_browser, sign_in
from tests.e2e.places import Furnished, Place, furnished, is_page, looking, places, unfurnished
from tests.support.postgres import Database, running_server

OUT = Path(".screenshots")
VIEWER = "vera@example.com"
_NARROW = 360
_MOST_HEIGHT = 2_400
"""Of a picture, pixels: what is longer is cut."""
_OUTSIDE = ("/sign-in", "/evidence/verify")
_FAILING = ("/signals", "/rules", "/evidence", "/traces", "/settings/team")


def main(arguments: Sequence[str]) -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.gallery", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: %(default)s)")
    parser.add_argument("--only", default="", help="only routes that contain this text")
    options = parser.parse_args(arguments)
    with running_server() as server, running_browser() as browser:
        camera = _Camera(options.out, options.only)
        full = server.database()
        with furnished(full) as house:
            _with_everything(camera, browser, house)
            _refused(camera, browser, house)
            _database_away(camera, browser, house, full)
        with furnished(server.database()) as house, unfurnished(server.database()) as empty:
            _with_nothing(camera, browser, house, empty)
    print(f"{camera.taken} pictures in {options.out}")


class _Camera:
    """Takes pictures into folders, one for each kind."""

    def __init__(self, out: Path, only: str) -> None:
        self.taken = 0
        self._out = out
        self._only = only

    def wants(self, route: str) -> bool:
        return self._only in route

    def take(self, page: Page, kind: str, name: str) -> None:
        file = self._out / kind / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        width: int = page.evaluate("window.innerWidth")
        height: int = page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, _MOST_HEIGHT)}
        page.screenshot(path=file, full_page=True, clip=clip)  # type: ignore[arg-type]
        self.taken += 1
        print(f"\r{self.taken:4} {kind}/{name}\033[K", end="", file=sys.stderr, flush=True)


def _with_everything(camera: _Camera, browser: Browser, house: Furnished) -> None:
    url = house.console.url
    with looking(browser, house.console, operator=True) as page:
        shown = [
            place
            for place in places(house)
            if camera.wants(place.route) and is_page(page.context, url + place.path)
        ]
        for place in shown:
            page.set_viewport_size({"width": 1280, "height": 860})
            page.emulate_media(color_scheme="light")
            page.goto(url + place.path)
            camera.take(page, "light", place.name)
            page.emulate_media(color_scheme="dark")
            camera.take(page, "dark", place.name)
            page.emulate_media(color_scheme="light")
            page.set_viewport_size({"width": _NARROW, "height": 740})
            camera.take(page, "narrow", place.name)
    with looking(browser, house.console, signed_in=False) as page:
        for path in filter(camera.wants, _OUTSIDE):
            page.goto(url + path)
            camera.take(page, "signed-out", Place(path, path).name)


def _refused(camera: _Camera, browser: Browser, house: Furnished) -> None:
    """Somebody who may read signals alone, and addresses of what is not there."""
    url = house.console.url
    house.console.add_person(VIEWER, Role.VIEWER)
    with looking(browser, house.console, signed_in=False) as page:
        sign_in(page, url, email=VIEWER, home="/**")
        for path in filter(camera.wants, ("/settings/team", "/audit", "/evidence", "/rules/new")):
            page.goto(url + path)
            camera.take(page, "no-permission", Place(path, path).name)
        for path in filter(camera.wants, ("/signals/nothing", "/rules/nothing", "/nowhere")):
            page.goto(url + path)
            camera.take(page, "not-there", Place(path, path).name)


def _database_away(camera: _Camera, browser: Browser, house: Furnished, database: Database) -> None:
    url = house.console.url
    with looking(browser, house.console) as page, _nobody_connects(database):
        for path in filter(camera.wants, _FAILING):
            page.goto(url + path)
            camera.take(page, "failing", Place(path, path).name)


def _with_nothing(camera: _Camera, browser: Browser, house: Furnished, empty: Furnished) -> None:
    with looking(browser, empty.console) as page:
        for place in places(house):
            path = place.path
            if "{" in place.route or not camera.wants(place.route):
                continue
            if is_page(page.context, empty.console.url + path):
                page.goto(empty.console.url + path)
                camera.take(page, "empty", place.name)


@contextmanager
def _nobody_connects(database: Database) -> Iterator[None]:
    """Refuse the connections of the application, and end those there are."""
    name = str(conninfo_to_dict(database.admin)["dbname"])
    allow = sql.SQL("alter database {} with allow_connections {}")
    elsewhere = make_conninfo(database.admin, dbname="postgres")
    with psycopg.connect(elsewhere, autocommit=True) as admin:
        admin.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        try:
            yield
        finally:
            admin.execute(allow.format(sql.Identifier(name), sql.Literal(True)))


if __name__ == "__main__":
    main(sys.argv[1:])
