"""Markdown of notes: readable, and harmless whatever was typed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.markdown import markdown_html


def test_what_notes_are_made_of_is_laid_out() -> None:
    html = markdown_html(
        "# Cause\n\nThe **flag** was ~~on~~ off, see [deploy](https://ci.example/7).\n\n"
        "* one\n* two\n\n```\nselect 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    for part in (
        "<h3>Cause</h3>",
        "<strong>flag</strong>",
        "<s>on</s>",
        'href="https://ci.example/7"',
        'rel="nofollow noopener noreferrer ugc"',
        "<li>one</li>",
        "<pre><code>select 1",
        "<td>1</td>",
    ):
        assert part in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:msgbox)",
        "<javascript:alert(1)>",
        "![x](https://elsewhere.example/pixel.png)",
        '<a href="https://x.example" onclick="alert(1)" style="position:fixed">x</a>',
        "<iframe src=//elsewhere.example></iframe>",
        "<style>*{display:none}</style>",
        "<svg/onload=alert(1)>",
        '[x](https://x.example "\\" onmouseover=\\"alert(1)")',
        "`<script>`",
        "<form action=/sign-out method=post><button>x</button></form>",
        "[r]: javascript:alert(1)\n\n[r]",
    ],
)
def test_nothing_that_acts_comes_through(text: str) -> None:
    assert _acts(markdown_html(text)) == []


@given(st.text(alphabet="<>&\"'()[]!`*_~#|-: \nascriptjhefonload=/", max_size=200))
def test_no_text_at_all_acts(text: str) -> None:
    assert _acts(markdown_html(text)) == []


_TAG = re.compile(r"<([a-zA-Z0-9]+)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>")
_HARMLESS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
    "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def _acts(html: str) -> list[str]:
    """Return the tags that are not harmless: others, other attributes, links that are no links."""
    bad = []
    for name, rest in _TAG.findall(html):
        attributes = dict(re.findall(r"([a-zA-Z-]+)=\"([^\"]*)\"", rest))
        href = attributes.get("href", "https://")
        links = href.startswith(("https://", "http://", "mailto:", "/", "#")) or ":" not in href
        known = set(attributes) <= {"href", "title", "rel", "start"}
        if name not in _HARMLESS or not known or not links:
            bad.append(f"<{name}{rest}>")
    return bad
