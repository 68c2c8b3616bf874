"""Texts as people typed them into forms."""

from __future__ import annotations


def lines_of(text: str) -> str:
    """Return a text with line ends as files have them; browsers send CR LF."""
    return text.replace("\r\n", "\n")
