"""Markdown of people as HTML that is safe in a page.

CommonMark with tables and strikethrough. Raw HTML is text, images are links to themselves (a
picture of another host would tell it who reads), and what comes out is cleaned once more: only
harmless elements, links only to http, https and mail.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import nh3
from markdown_it import MarkdownIt

_TAGS: Final = frozenset(
    {
        "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol",
        "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
    }
)  # fmt: skip
_SCHEMES: Final = frozenset({"http", "https", "mailto"})
_REL: Final = "nofollow noopener noreferrer ugc"
_HEADINGS: Final = {"h1": "h3", "h2": "h4"}
"""A note stands below a heading of its page."""


def markdown_html(text: str) -> str:
    """Return the HTML of a Markdown text."""
    tokens = _parser().parse(text)
    for token in tokens:
        token.tag = _HEADINGS.get(token.tag, token.tag)
    html = _parser().renderer.render(tokens, _parser().options, {})
    return nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes=set(_SCHEMES),
        link_rel=_REL,
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    return parser.enable(["table", "strikethrough"]).disable("image")
