"""What holds on every page: axe finds nothing, nothing is cut off, a keyboard is enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browser import accessibility_problems
from tests.e2e.places import Furnished, Place, furnished, is_page, looking, places
from tests.support.postgres import Server

pytestmark = pytest.mark.e2e

_MOST_BYTES = 500_000
_NARROW = 360
_REACHABLE = """() => {
    const open = element => {
        const details = element.closest("details:not([open])");
        return !details || element === details.querySelector(":scope > summary");
    };
    const all = document.querySelectorAll(
        "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable=true]");
    const radios = new Set();
    let ids = 0;
    for (const element of all) {
        if (element.tabIndex < 0 || element.disabled || !element.checkVisibility(
            {visibilityProperty: true}) || !open(element) || element.closest("[inert]")) continue;
        if (element.type === "radio") {
            const group = `${element.form?.id} ${element.name}`;
            if (radios.has(group)) continue;
            radios.add(group);
            element.form?.querySelectorAll(`[name="${element.name}"]`)
                .forEach(each => { each.dataset.walk = ids; });
        }
        element.dataset.walk = ids++;
    }
    return ids;
}"""
_FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const seen = style.outlineStyle !== "none" || style.boxShadow !== "none"
        || element.matches(":focus-within *");
    return {walk: element.dataset.walk ?? null, seen,
            what: `${element.tagName} ${(element.textContent || element.name || "").trim()
                .slice(0, 40)}`};
}"""
_MISSED = """walked => [...document.querySelectorAll("[data-walk]")]
    .filter(element => !walked.includes(element.dataset.walk))
    .map(element => element.outerHTML.slice(0, 160))"""


@pytest.fixture(scope="module")
def house(postgres: Server) -> Iterator[Furnished]:
    """A console whose tenant has one of everything."""
    with furnished(postgres.database()) as house:
        yield house


@pytest.fixture(scope="module")
def pages(house: Furnished, browser: Browser) -> list[Place]:
    """Every page, as an operator who is an administrator as well sees them."""
    with looking(browser, house.console, operator=True) as page:
        url = house.console.url
        return [place for place in places(house) if is_page(page.context, url + place.path)]


def test_there_are_pages_at_all(pages: list[Place]) -> None:
    routes = {place.route for place in pages}
    assert {"/signals", "/signals/{signal_id}", "/rules", "/evidence", "/operator"} <= routes


def test_axe_finds_nothing_on_any_page_light_or_dark_and_nothing_is_cut_off(
    house: Furnished, browser: Browser, pages: list[Place]
) -> None:
    problems: dict[str, list[str]] = {}
    with looking(browser, house.console, operator=True) as page:
        for place in pages:
            page.set_viewport_size({"width": 1280, "height": 860})
            page.emulate_media(color_scheme="light")
            page.goto(house.console.url + place.path)
            found = accessibility_problems(page)
            page.emulate_media(color_scheme="dark")
            found += [f"dark: {each}" for each in accessibility_problems(page)]
            page.set_viewport_size({"width": _NARROW, "height": 740})
            wide: int = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if wide > 0:
                found.append(f"{wide} pixels wider than a screen of {_NARROW}")
            if found:
                problems[place.path] = found
    assert problems == {}


def test_everything_on_every_page_is_reached_by_tab_and_seen_when_it_is(
    house: Furnished, browser: Browser, pages: list[Place]
) -> None:
    problems: dict[str, list[str]] = {}
    with looking(browser, house.console, operator=True) as page:
        for place in pages:
            page.goto(house.console.url + place.path)
            found = _walked(page)
            if found:
                problems[place.path] = found
    assert problems == {}


def test_no_page_weighs_more_than_it_should_or_asks_another_host(
    house: Furnished, browser: Browser, pages: list[Place]
) -> None:
    weights: dict[str, int] = {}
    with looking(browser, house.console, operator=True) as page:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        # What somebody waits for who comes for the first time.
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        sizes: list[float] = []
        session.on("Network.loadingFinished", lambda event: sizes.append(_size(event)))
        for place in pages:
            sizes.clear()
            page.goto(house.console.url + place.path)
            weights[place.path] = int(sum(sizes))
    assert {path: weight for path, weight in weights.items() if weight > _MOST_BYTES} == {}
    assert min(weights.values()) > 0


def _size(event: dict[str, float]) -> float:
    return event["encodedDataLength"]


def _walked(page: Page) -> list[str]:
    """Return what Tab does not lead to, and what does not show that it has the focus."""
    there: int = page.evaluate(_REACHABLE)
    walked: list[str] = []
    problems = []
    for _ in range(2 * there + 10):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None:  # Behind the last one; a page that begins in its midst goes on.
            continue
        if focused["walk"] in walked[:1]:
            break
        if focused["walk"] is not None:
            walked.append(focused["walk"])
        if not focused["seen"]:
            problems.append(f"does not show that it has the focus: {focused['what']}")
    missed: list[str] = page.evaluate(_MISSED, walked)
    return problems + [f"not reached by Tab: {each}" for each in missed]
