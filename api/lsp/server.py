"""A language server for rule files, over standard input and output.

Serves `.betrace` and `.rule` files, and `rule: |` blocks of YAML: what is wrong, what would put it
right, what may come next, what a word means, what it is (to be coloured by), and the layout. All
answers come from `dsl.editor`.
Source: Language Server Protocol 3.17.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from api.lsp.positions import Lines
from dsl.editor.completion import Completion
from dsl.editor.file import Finding, Placed, completions, file_tokens, findings, hover_at
from dsl.editor.learned import known_from, spans_of_tests
from dsl.editor.tokens import KINDS, TokenKind
from dsl.lint import KnownNames
from dsl.objects import parse_rules
from dsl.rule import Checked, check
from dsl.rule_texts import format_file, holds_objects

MAX_REMEMBERED: Final = 2_000
"""Checked rule texts that are kept: a file of many rules is not checked anew at every key."""
PAUSE_S: Final = 0.1
"""Shorter than people notice, longer than between two keys."""
TRIGGERS: Final = [".", "(", " ", '"']

_SEVERITIES: Final = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
}
_KINDS: Final = {
    "clause": types.CompletionItemKind.Keyword,
    "keyword": types.CompletionItemKind.Keyword,
    "operator": types.CompletionItemKind.Operator,
    "relation": types.CompletionItemKind.Operator,
    "function": types.CompletionItemKind.Function,
    "scope": types.CompletionItemKind.Module,
    "intrinsic": types.CompletionItemKind.Property,
    "trace": types.CompletionItemKind.Property,
    "span": types.CompletionItemKind.Class,
    "attribute": types.CompletionItemKind.Field,
    "binding": types.CompletionItemKind.Variable,
    "value": types.CompletionItemKind.Value,
}
_TOKEN_TYPES: Final[dict[TokenKind, types.SemanticTokenTypes]] = {
    "clause": types.SemanticTokenTypes.Macro,
    "keyword": types.SemanticTokenTypes.Keyword,
    "operator": types.SemanticTokenTypes.Operator,
    "function": types.SemanticTokenTypes.Function,
    "scope": types.SemanticTokenTypes.Namespace,
    "intrinsic": types.SemanticTokenTypes.Modifier,
    "trace": types.SemanticTokenTypes.Modifier,
    "span": types.SemanticTokenTypes.Class,
    "attribute": types.SemanticTokenTypes.Property,
    "binding": types.SemanticTokenTypes.Variable,
    "value": types.SemanticTokenTypes.EnumMember,
    "string": types.SemanticTokenTypes.String,
    "number": types.SemanticTokenTypes.Number,
    "comment": types.SemanticTokenTypes.Comment,
}
"""In the words that the themes of editors know."""
LEGEND: Final = types.SemanticTokensLegend(
    token_types=[_TOKEN_TYPES[kind].value for kind in KINDS], token_modifiers=[]
)


class RuleServer(LanguageServer):
    """A server for rule files. known: names seen, for hints and completion."""

    def __init__(self, version: str, known: KnownNames | None = None) -> None:
        super().__init__("betrace", version)
        self.known = known
        self.check: Callable[[str], Checked] = lru_cache(MAX_REMEMBERED)(
            lambda text: check(text, known=known)
        )
        for method, (options, answer) in _FEATURES.items():
            self.feature(method, options)(answer)

    def text_of(self, uri: str) -> tuple[str, Lines]:
        """Return a document's text, and its lines in the units of the client."""
        text = self.workspace.get_text_document(uri).source
        encoding = self.workspace.position_codec.encoding or types.PositionEncodingKind.Utf16
        return text, Lines.of(text, encoding)

    def findings(self, uri: str, text: str) -> list[Finding]:
        """Return what is wrong with a document."""
        return findings(text, filename=_filename(uri), check=self.check)

    def names(self, uri: str, text: str) -> KnownNames | None:
        """Return the names seen; without any, those that the tests of the file itself hold."""
        if self.known is not None or not holds_objects(_filename(uri)):
            return self.known
        return known_from(spans_of_tests(parse_rules(text, filename=_filename(uri))))


# -- answers ---------------------------------------------------------------------------------------


def _opened(ls: RuleServer, params: types.DidOpenTextDocumentParams) -> None:
    _tell(ls, params.text_document.uri)


async def _changed(ls: RuleServer, params: types.DidChangeTextDocumentParams) -> None:
    """Look at a document once nobody has typed for a moment."""
    await asyncio.sleep(PAUSE_S)
    document = ls.workspace.text_documents.get(params.text_document.uri)
    if document is not None and document.version == params.text_document.version:
        _tell(ls, params.text_document.uri)


def _closed(ls: RuleServer, params: types.DidCloseTextDocumentParams) -> None:
    _publish(ls, params.text_document.uri, [])


def _tell(ls: RuleServer, uri: str) -> None:
    text, lines = ls.text_of(uri)
    _publish(ls, uri, [_diagnostic(one, lines) for one in ls.findings(uri, text)])


def _publish(ls: RuleServer, uri: str, diagnostics: list[types.Diagnostic]) -> None:
    params = types.PublishDiagnosticsParams(uri=uri, diagnostics=diagnostics)
    ls.text_document_publish_diagnostics(params)


def _complete(ls: RuleServer, params: types.CompletionParams) -> types.CompletionList:
    uri = params.text_document.uri
    text, lines = ls.text_of(uri)
    line, column = lines.place(params.position)
    offers = completions(
        text, filename=_filename(uri), line=line, column=column, known=ls.names(uri, text)
    )
    items = [_item(one, number, lines) for number, one in enumerate(offers)]
    # Offers are cut to the likeliest, so a longer word may bring others.
    return types.CompletionList(is_incomplete=True, items=items)


def _hover(ls: RuleServer, params: types.HoverParams) -> types.Hover | None:
    uri = params.text_document.uri
    text, lines = ls.text_of(uri)
    line, column = lines.place(params.position)
    told = hover_at(
        text, filename=_filename(uri), line=line, column=column, known=ls.names(uri, text)
    )
    if told is None:
        return None
    content = types.MarkupContent(types.MarkupKind.Markdown, told.value)
    return types.Hover(content, lines.range(told.start, told.end))


def _tokens(ls: RuleServer, params: types.SemanticTokensParams) -> types.SemanticTokens:
    uri = params.text_document.uri
    text, lines = ls.text_of(uri)
    data: list[int] = []
    line, character = 0, 0
    for token in file_tokens(text, filename=_filename(uri)):
        found = lines.range(token.start, token.end)
        down, begins = found.start.line - line, found.start.character
        right = begins if down else begins - character
        data += (down, right, found.end.character - begins, KINDS.index(token.value), 0)
        line, character = found.start.line, begins
    return types.SemanticTokens(data)


def _format(ls: RuleServer, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
    uri = params.text_document.uri
    text, lines = ls.text_of(uri)
    formatted = format_file(text, filename=_filename(uri))
    return [] if formatted == text else [types.TextEdit(lines.whole(), formatted)]


def _fixes(ls: RuleServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    uri = params.text_document.uri
    text, lines = ls.text_of(uri)
    actions = (_action(one, uri, lines) for one in ls.findings(uri, text))
    return [
        action
        for action in actions
        if action is not None
        and any(_overlap(one.range, params.range) for one in action.diagnostics or ())
    ]


_FEATURES: Final[dict[str, tuple[Any, Callable[..., Any]]]] = {
    types.TEXT_DOCUMENT_DID_OPEN: (None, _opened),
    types.TEXT_DOCUMENT_DID_CHANGE: (None, _changed),
    types.TEXT_DOCUMENT_DID_CLOSE: (None, _closed),
    types.TEXT_DOCUMENT_COMPLETION: (
        types.CompletionOptions(trigger_characters=TRIGGERS),
        _complete,
    ),
    types.TEXT_DOCUMENT_HOVER: (None, _hover),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL: (LEGEND, _tokens),
    types.TEXT_DOCUMENT_FORMATTING: (None, _format),
    types.TEXT_DOCUMENT_CODE_ACTION: (
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
        _fixes,
    ),
}
"""What a client may ask: the method, what is said about it, who answers."""


def _filename(uri: str) -> str:
    return PurePosixPath(unquote(urlsplit(uri).path)).name


# -- in the words of the protocol ------------------------------------------------------------------


def _diagnostic(finding: Finding, lines: Lines) -> types.Diagnostic:
    problem = finding.problem
    where = lines.range(
        (problem.line, problem.column),
        (problem.end_line, problem.end_column),
    )
    return types.Diagnostic(
        range=where,
        message=f"{problem.message}\n{problem.hint}" if problem.hint else problem.message,
        severity=_SEVERITIES[finding.level],
        code=problem.code,
        source="betrace",
    )


def _item(placed: Placed[Completion], number: int, lines: Lines) -> types.CompletionItem:
    offer = placed.value
    text, style = offer.insert, types.InsertTextFormat.PlainText
    if offer.caret is not None:
        before, behind = offer.insert[: offer.caret], offer.insert[offer.caret :]
        text, style = f"{_escaped(before)}$0{_escaped(behind)}", types.InsertTextFormat.Snippet
    return types.CompletionItem(
        label=offer.label,
        kind=_KINDS[offer.kind],
        detail=offer.detail or None,
        documentation=offer.documentation or None,
        sort_text=f"{number:04}",
        filter_text=offer.insert if offer.insert.startswith('"') else offer.label,
        insert_text_format=style,
        text_edit=types.TextEdit(lines.range(placed.start, placed.end), text),
    )


def _escaped(text: str) -> str:
    """Return a text as a snippet spells it: `$`, `}` and a backslash mean something there."""
    return "".join(f"\\{char}" if char in "\\$}" else char for char in text)


def _action(finding: Finding, uri: str, lines: Lines) -> types.CodeAction | None:
    fix = finding.fix
    if fix is None:
        return None
    edit = types.TextEdit(lines.range(fix.start, fix.end), fix.value)
    return types.CodeAction(
        title=finding.title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[_diagnostic(finding, lines)],
        edit=types.WorkspaceEdit(changes={uri: [edit]}),
        is_preferred=True,
    )


def _overlap(one: types.Range, other: types.Range) -> bool:
    return _key(one.start) <= _key(other.end) and _key(other.start) <= _key(one.end)


def _key(position: types.Position) -> tuple[int, int]:
    return position.line, position.character
