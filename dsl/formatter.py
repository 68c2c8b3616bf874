"""The one way to lay a rule text out. Words stay as they were written; only white space changes.

A clause is one line if it fits; else its conditions stand under one another behind the brace; else,
and whenever a comment stands inside, the clause is a block. Works on tokens, not on the tree, so
that it lays out every construct, and comments keep their place among the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from dsl.lexer import Token, refuse_surrogates, tokenize
from dsl.pieces import COMMENT, Group, Item, Piece, grouped, pieces_of
from dsl.source import MAX_TEXT_BYTES, Source
from dsl.trees import tree_of
from dsl.words import CLAUSES

WIDTH: Final = 100
INDENT: Final = 2
_JOINERS: Final = ("or", "and", "then")
"""Where a condition is broken first, second and third."""
_AFTER_BRACES: Final = frozenset({"by", "within", "having", "every"})
_HEADS: Final = (*CLAUSES, "correlate", "expect")


def format_rule(text: str) -> str | None:
    """Return a rule text laid out, ending in a newline, or None if it does not parse.

    Keeps every token and comment in its order; laying out twice changes nothing more.
    """
    source = Source(text)
    if refuse_surrogates(source) or len(text.encode()) > MAX_TEXT_BYTES:
        return None
    tokens = tokenize(source)
    return laid_out(text) if tokens is not None and _parses(source, tokens) else None


def _parses(source: Source, tokens: list[Token]) -> bool:
    return tree_of(source, tokens) is not None and not source.problems


def laid_out(text: str) -> str | None:
    """Lay out a text whose brackets match, whatever its words; None if they do not."""
    tokens = tokenize(Source(text))
    items = grouped(pieces_of(text, tokens)) if tokens is not None else None
    if items is None:
        return None
    statements = _statements(items)
    words = [_word(statement) for statement in statements]
    pad = max((len(word) for word in words if word in CLAUSES), default=0)
    page = _Page()
    for statement in statements:
        _write_statement(page, statement, pad)
    return page.text()


# -- lines -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Page:
    """Finished lines, and whether the last one ends in a comment."""

    lines: list[str] = field(default_factory=list)
    commented: bool = False

    def line(self, text: str, indent: int = 0) -> None:
        self.lines.append(" " * indent + text)
        self.commented = False

    def blank(self) -> None:
        """Leave one line empty, but none at the top and no two."""
        if self.lines and self.lines[-1]:
            self.lines.append("")
            self.commented = True  # nothing can be put behind an empty line

    def comment(self, piece: Piece, indent: int) -> None:
        if piece.own_line or self.commented or not self.lines:
            if piece.blank_line:
                self.blank()
            self.line(piece.text, indent)
        else:
            self.lines[-1] += f"  {piece.text}"
        self.commented = True

    def add(self, text: str) -> None:
        self.lines[-1] += text

    def text(self) -> str:
        return "\n".join(self.lines) + "\n" if self.lines else ""


def _inline(items: Sequence[Item]) -> str | None:
    """Return items as one line, or None if a comment is among them."""
    parts: list[str] = []
    for item in items:
        if isinstance(item, Piece):
            if item.kind == COMMENT:
                return None
            parts.append(" " * (item.space and bool(parts)) + item.text)
            continue
        inner = _inline(item.items)
        if inner is None:
            return None
        brace = " " if item.opening.kind == "{" and inner else ""
        blank = " " * (item.opening.space and bool(parts))
        parts.append(f"{blank}{item.opening.text}{brace}{inner}{brace}{item.closing.text}")
    return "".join(parts)


def _fits(text: str, column: int) -> bool:
    # A string that spans lines breaks the line by itself; each of its lines counts alone.
    first, *others = text.split("\n")
    return column + len(first) <= WIDTH and all(len(other) <= WIDTH for other in others)


# -- clauses ---------------------------------------------------------------------------------------


def _statements(items: Sequence[Item]) -> list[list[Item]]:
    """Split a text into clauses, and the comments that stand between them."""
    found: list[list[Item]] = [[]]
    braced = worded = False  # whether the last one has its braces, and any word
    for item in items:
        opens = isinstance(item, Piece) and item.text in _HEADS and (braced or not worded)
        between = _is_comment(item) and item.own_line and braced
        if found[-1] and (opens or between):
            found.append([])
            braced = worded = False
        found[-1].append(item)
        braced |= _is_braced(item)
        worded |= not _is_comment(item)
    return [statement for statement in found if statement]


def _is_braced(item: Item) -> bool:
    return isinstance(item, Group) and item.opening.kind == "{"


def _word(statement: Sequence[Item]) -> str:
    return next((i.text for i in statement if isinstance(i, Piece) and i.kind != COMMENT), "")


def _write_statement(page: _Page, statement: Sequence[Item], pad: int) -> None:
    at = next((n for n, item in enumerate(statement) if _is_braced(item)), None)
    first = statement[0]
    if isinstance(first, Piece) and first.blank_line:
        page.blank()
    if at is None:
        _write(page, statement, 0)
        return
    group = statement[at]
    assert isinstance(group, Group)
    head, moved = _apart(statement[:at])
    word = _inline(head) or ""
    opening = f"{word.ljust(pad) if word in CLAUSES else word} {{"
    _write_clause(page, opening, (*moved, *group.items))
    _write_tail(page, statement[at + 1 :])


def _apart(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split items into words and comments."""
    words = [item for item in items if not _is_comment(item)]
    return words, [item for item in items if _is_comment(item)]


def _write_clause(page: _Page, opening: str, items: Sequence[Item]) -> None:
    inner = _inline(items)
    if inner is not None and _fits(f"{opening} {inner} }}", 0):
        page.line(f"{opening} {inner} }}")
        return
    parts = [_inline(part) for part in _split(items)]
    column = len(opening) + 1
    if all(part is not None and _fits(f"{part} }}", column) for part in parts):
        hanging = f"\n{' ' * column}".join(part for part in parts if part is not None)
        for line in f"{opening} {hanging} }}".split("\n"):
            page.line(line)
        return
    page.line(opening)
    _write(page, items, INDENT, following=INDENT)
    page.line("}")


def _write_tail(page: _Page, items: Sequence[Item]) -> None:
    """Write what follows the braces: `by … within … having …`, and comments."""
    core, comments = _ending(items)
    text = _inline(core)
    if text is not None and text and _fits(f" {text}", len(page.lines[-1])):
        page.add(f" {text}")
    elif text is not None and text and _fits(text, INDENT):
        page.line(text, INDENT)
    elif core:
        for part in _parts_at(core, _AFTER_BRACES):
            _write(page, part, INDENT)
    for comment in comments:
        page.comment(comment, 0)


# -- conditions ------------------------------------------------------------------------------------


def _split(items: Sequence[Item]) -> list[list[Item]]:
    """Split items at the weakest word that joins them; one part if nothing joins them."""
    for joiner in _JOINERS:
        parts = _parts_at(_before_joiners(items, joiner), frozenset({joiner}))
        if len(parts) > 1:
            return parts
    return _terms(items)


def _terms(items: Sequence[Item]) -> list[list[Item]]:
    """Split a calculation in front of each `+` and `-` that joins two terms."""
    parts: list[list[Item]] = [[]]
    for number, item in enumerate(items):
        if parts[-1] and isinstance(item, Piece) and item.kind in ("+", "-") and item.space:
            following = next((one for one in items[number + 1 :] if not _is_comment(one)), None)
            if following is not None and _first_of(following).space:  # else a sign: `> -5`
                parts.append([])
        parts[-1].append(item)
    return parts


def _first_of(item: Item) -> Piece:
    return item if isinstance(item, Piece) else item.opening


def _parts_at(items: Sequence[Item], words: frozenset[str]) -> list[list[Item]]:
    parts: list[list[Item]] = [[]]
    before: Item | None = None  # the last item of this part that is no comment
    for item in items:
        if before is not None and _joins(item, before, words):
            parts.append([])
        parts[-1].append(item)
        if not _is_comment(item):
            before = item
    return parts


def _is_comment(item: Item) -> TypeGuard[Piece]:
    return isinstance(item, Piece) and item.kind == COMMENT


def _joins(item: Item, before: Item, words: frozenset[str]) -> bool:
    """Tell whether an item is a word that joins, rather than a segment of a name (`a.or`)."""
    segment = isinstance(before, Piece) and before.kind == "."
    return isinstance(item, Piece) and item.kind == "ident" and item.text in words and not segment


def _before_joiners(items: Sequence[Item], joiner: str) -> list[Item]:
    """Move the comments behind a joining word in front of it: a line begins with the word."""
    found: list[Item] = []
    held: Item | None = None
    for item in items:
        comment = _is_comment(item)
        if held is not None and not comment:
            found.append(held)
            held = None
        if found and not comment and _joins(item, found[-1], frozenset({joiner})):
            held = item
        else:
            found.append(item)
    return found if held is None else [*found, held]


def _ending(items: Sequence[Item]) -> tuple[list[Item], list[Piece]]:
    """Split the comments off the end of items."""
    core = list(items)
    comments: list[Piece] = []
    while core and _is_comment(last := core[-1]):
        comments.append(last)
        core.pop()
    return core, comments[::-1]


def _write(
    page: _Page, items: Sequence[Item], indent: int, *, following: int | None = None
) -> None:
    """Write items from a new line on. following: the indent of further conditions."""
    leading = [*_leading(items)]
    for comment in leading:
        page.comment(comment, indent)
    core, trailing = _ending(items[len(leading) :])
    text = _inline(core)
    parts = _split(core)
    if text is not None and _fits(text, indent):
        if text:
            page.line(text, indent)
    elif len(parts) > 1:
        next_indent = indent + INDENT if following is None else following
        for number, part in enumerate(parts):
            _write(page, part, indent if number == 0 else next_indent)
    else:
        _write_pieces(page, core, indent)
    for comment in trailing:
        page.comment(comment, indent)


def _leading(items: Sequence[Item]) -> Iterator[Piece]:
    for item in items:
        if not _is_comment(item):
            return
        yield item


def _write_pieces(page: _Page, items: Sequence[Item], indent: int) -> None:
    """Write what nothing joins, with some of its groups opened."""
    opened = _groups_to_open(items, indent)
    page.line("", indent)
    fresh = True  # at the beginning of a line
    for item in items:
        if _is_comment(item):
            page.comment(item, indent + INDENT)
            fresh = True
            continue
        if page.commented:
            page.line("", indent + INDENT)
        page.add(" " * (_first_of(item).space and not fresh))
        fresh = False
        if isinstance(item, Piece):
            page.add(item.text)
        elif id(item) in opened:
            _write_group(page, item, indent)
        else:
            page.add((_inline([item]) or "").lstrip(" "))


def _groups_to_open(items: Sequence[Item], indent: int) -> set[int]:
    """Return `id`s of the groups that hold comments, or of as few as let the rest fit."""
    groups = [item for item in items if isinstance(item, Group)]
    commented = [group for group in groups if _inline([group]) is None]
    if commented or not groups:
        return set(map(id, commented))
    largest_first = sorted(groups, key=lambda group: -len(_inline([group]) or ""))
    count = 1
    while count < len(groups) and not _fits_opened(items, _ids(largest_first, count), indent):
        count *= 2  # doubled, so that a long chain of filters is not tried link by link
    return _ids(largest_first, count)


def _ids(groups: Sequence[Group], count: int) -> set[int]:
    return {id(group) for group in groups[:count]}


def _fits_opened(items: Sequence[Item], opened: set[int], indent: int) -> bool:
    """Tell whether every line fits once these groups are opened."""
    text = ""
    for item in items:
        text += " " * (_first_of(item).space and bool(text))
        if isinstance(item, Group) and id(item) in opened:
            text += f"{item.opening.text}\n{item.closing.text}"
        else:
            text += _inline([item]) or ""
    return all(indent + len(line) <= WIDTH for line in text.split("\n"))


def _write_group(page: _Page, group: Group, indent: int) -> None:
    page.add(group.opening.text)
    inside = indent + INDENT
    if group.opening.kind == "[":
        _write_list(page, group.items, inside)
    else:
        _write(page, group.items, inside, following=inside)
    page.line(group.closing.text, indent)


def _write_list(page: _Page, items: Sequence[Item], indent: int) -> None:
    """Write the items of a list, as many in a line as fit."""
    fresh = True
    for item in items:
        if _is_comment(item):
            page.comment(item, indent)
            fresh = True
            continue
        text = _inline([item]) or ""
        tight = isinstance(item, Piece) and not item.space
        if not fresh and (tight or _fits(f" {text},", len(page.lines[-1]))):
            page.add(text if tight else f" {text}")
        else:
            page.line(text, indent)
        fresh = False
