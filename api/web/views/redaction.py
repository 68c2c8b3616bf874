"""The settings page about redaction: the policy as a form, what it would do, and its versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from api.redaction.counting import Counted
from api.redaction.service import Looked, Revealed, Suggested
from api.redaction.stored import StoredPolicy
from api.redaction.wanted import RuleInDoubt
from api.web.views.links import rule_href
from api.web.views.moments import Moment, minute_moment
from api.web.views.words import Choice, Message
from udfs.redaction import kinds
from udfs.redaction.policy import DEFAULT_STRATEGIES
from udfs.redaction.policy_json import FORMAT
from udfs.redaction.strategies import Strategy

REDACTION_HREF: Final = "/settings/redaction"
SHOWN_VERSIONS: Final = 10
COUNTED_DAYS: Final = 30
_SHOWN_FOUND: Final = 50
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "changed": "Changed. In effect within seconds; what was stored before stays as it is.",
        "same": "That is the policy already.",
    }
)
_STRATEGIES: Final[Mapping[Strategy, str]] = MappingProxyType(
    {
        Strategy.REMOVE: "Remove",
        Strategy.MASK: "Mask",
        Strategy.HASH: "Hash",
        Strategy.TOKENIZE: "Tokenise",
        Strategy.ENCRYPT: "Encrypt",
        Strategy.GENERALIZE: "Generalise",
        Strategy.ALLOW: "Leave",
    }
)
_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        kinds.PRIVATE_KEY: "Private keys",
        kinds.AUTHORIZATION: "Credentials in headers",
        kinds.JWT: "Tokens of sign-in (JWT)",
        kinds.API_KEY: "API keys",
        kinds.PASSWORD: "Passwords",
        kinds.IBAN: "Bank accounts (IBAN)",
        kinds.PAYMENT_CARD: "Payment cards",
        kinds.NATIONAL_ID: "National ids",
        kinds.EMAIL: "Mail addresses",
        kinds.PHONE: "Phone numbers",
        kinds.BIRTH_DATE: "Dates of birth",
        kinds.POSTAL_ADDRESS: "Postal addresses",
        kinds.PERSON_NAME: "Names of people",
        kinds.LOCATION: "Places",
        kinds.USER_ID: "Ids of users",
        kinds.IP_ADDRESS: "IP addresses",
        kinds.DB_PARAMETER: "Parameters of queries",
        kinds.DB_LITERAL: "Literals in queries",
        kinds.CHOSEN: "Keys that the policy names",
    }
)


@dataclass(frozen=True, slots=True)
class KindField:
    """What becomes of a kind. choices: the first is as usual."""

    name: str
    label: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """What a person has put into the form.

    strategies: by kind, "" as usual. keys, custom: a line each. exempt, allowed: a key a line.
    """

    strategies: Mapping[str, str]
    keys: str = ""
    exempt: str = ""
    custom: str = ""
    has_allow_list: bool = False
    allowed: str = ""
    otherwise: str = Strategy.REMOVE
    conventions: bool = True

    @classmethod
    def of(cls, stored: StoredPolicy) -> PolicyText:
        """Return the text of a policy."""
        policy = stored.policy
        allow_list = policy.allow_list
        named = {k: s for k, s in policy.keys.items() if s is not Strategy.ALLOW}
        return cls(
            strategies={kind: str(strategy) for kind, strategy in policy.strategies.items()},
            keys=_lines(f"{key} {strategy}" for key, strategy in named.items()),
            exempt=_lines(k for k, s in policy.keys.items() if s is Strategy.ALLOW),
            custom=_lines(f"{one.name} {one.strategy} {one.pattern}" for one in policy.custom),
            has_allow_list=allow_list is not None,
            allowed=_lines(allow_list.keys) if allow_list else "",
            otherwise=str(allow_list.otherwise) if allow_list else Strategy.REMOVE,
            conventions=policy.conventions,
        )

    def form(self) -> dict[str, Any]:
        """Return the policy as JSON values. Raises ValueError for a line that is none."""
        return {
            "format": FORMAT,
            "strategies": {kind: s for kind, s in self.strategies.items() if s},
            "keys": dict(_keys(self.keys)),
            "exempt": _split(self.exempt),
            "custom": [_custom(line) for line in _split(self.custom)],
            "allow_list": {"keys": _split(self.allowed), "otherwise": self.otherwise}
            if self.has_allow_list
            else None,
            "semantic_conventions": self.conventions,
        }


@dataclass(frozen=True, slots=True)
class FoundRow:
    """What is found in one place."""

    kind: str
    path: str
    count: str
    strategy: str
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SuggestedRow:
    """A key that the policy ought to name. line: as it is put into the form."""

    key: str
    why: str
    sample: str
    line: str


@dataclass(frozen=True, slots=True)
class DoubtfulRule:
    """A rule that asks for what the policy takes away."""

    id: str
    href: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviewShown:
    """What the policy of the form would do to stored traces."""

    looked_at: str
    found: tuple[FoundRow, ...]
    more: int
    suggested: tuple[SuggestedRow, ...]
    rules: tuple[DoubtfulRule, ...]


@dataclass(frozen=True, slots=True)
class CountRow:
    """How many values of a kind were taken out."""

    kind: str
    count: str


@dataclass(frozen=True, slots=True)
class CountsShown:
    """What was taken out lately. trouble: what could not be done as the policy says."""

    said: str
    rows: tuple[CountRow, ...]
    trouble: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of the policy. who: as on the audit log."""

    version: int
    at: Moment
    who: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionPage:
    """The page. version: of the policy in the form, 0: the defaults."""

    version: int
    has_keys: bool
    kinds: tuple[KindField, ...]
    text: PolicyText
    otherwise: tuple[Choice, ...]
    history: tuple[VersionRow, ...]
    counts: CountsShown
    preview: PreviewShown | None
    revealed: Revealed | None
    may_write: bool
    may_reveal: bool
    strategies: str
    message: Message | None


def redaction_page(
    stored: StoredPolicy,
    history: Sequence[StoredPolicy],
    counted: Counted,
    *,
    has_keys: bool,
    may_write: bool,
    may_reveal: bool,
    text: PolicyText | None = None,
    looked: tuple[Looked, Suggested, Sequence[RuleInDoubt]] | None = None,
    revealed: Revealed | None = None,
    message: Message | None = None,
) -> RedactionPage:
    """Return the page. text: what was typed; looked: what it would do."""
    text = text or PolicyText.of(stored)
    return RedactionPage(
        version=stored.version,
        has_keys=has_keys,
        kinds=tuple(_kind_field(kind, text) for kind in kinds.BY_WEIGHT),
        text=text,
        otherwise=tuple(
            Choice(str(strategy), label, str(strategy) == text.otherwise)
            for strategy, label in _STRATEGIES.items()
        ),
        history=tuple(_version_row(version) for version in history),
        counts=_counts(counted),
        preview=_preview(*looked) if looked else None,
        revealed=revealed,
        may_write=may_write,
        may_reveal=may_reveal,
        strategies=", ".join(Strategy),
        message=message,
    )


def _kind_field(kind: str, text: PolicyText) -> KindField:
    chosen = text.strategies.get(kind, "")
    usual = _STRATEGIES[DEFAULT_STRATEGIES[kind]]
    return KindField(
        kind,
        _KINDS[kind],
        (
            Choice("", f"As usual: {usual.lower()}", not chosen),
            *(Choice(str(s), label, str(s) == chosen) for s, label in _STRATEGIES.items()),
        ),
    )


def _counts(counted: Counted) -> CountsShown:
    days = (counted.last - counted.first).days + 1
    said = f"Nothing was taken out of spans in the last {days} days."
    if counted.values:
        said = (
            f"{counted.values:,} values were taken out of {counted.spans:,} spans, resources and "
            f"scopes in the last {days} days."
        )
    trouble = {
        "values were removed whole, as what the policy asks for failed": counted.failures,
        "spans were dropped, as they do not decode": counted.unreadable,
        "spans lost fields that no schema names": counted.unknown_fields,
    }
    return CountsShown(
        said,
        tuple(
            CountRow(_KINDS.get(kind, kind), f"{count:,}")
            for kind, count in counted.by_kind.items()
        ),
        tuple(f"{count:,} {what}." for what, count in trouble.items() if count),
    )


def _preview(looked: Looked, suggested: Suggested, rules: Sequence[RuleInDoubt]) -> PreviewShown:
    rows = looked.found.rows
    recent = looked.recent
    return PreviewShown(
        looked_at=f"{recent.spans:,} spans of the {recent.traces:,} traces that were stored last",
        found=tuple(
            FoundRow(
                _KINDS.get(row.kind, row.kind),
                row.path,
                f"{row.count:,}",
                _STRATEGIES[row.strategy],
                row.samples,
            )
            for row in rows[:_SHOWN_FOUND]
        ),
        more=max(len(rows) - _SHOWN_FOUND, 0),
        suggested=tuple(
            SuggestedRow(
                one.key,
                f"{one.found:,} of {one.seen:,} values: {_KINDS.get(one.kind, one.kind).lower()}"
                if one.found and one.kind
                else "its name",
                one.sample,
                f"{one.key} {one.strategy}",
            )
            for one in suggested.suggestions[:_SHOWN_FOUND]
        ),
        rules=tuple(
            DoubtfulRule(
                rule.id, rule_href(rule.id), tuple(problem.message for problem in rule.problems)
            )
            for rule in rules
        ),
    )


def _version_row(stored: StoredPolicy) -> VersionRow:
    assert stored.created_at is not None
    text = json.dumps(stored.form, indent=2, ensure_ascii=False)
    return VersionRow(stored.version, minute_moment(stored.created_at), stored.author, text)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _split(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _keys(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in _split(text):
        key, _, strategy = line.rpartition(" ")
        if not key.strip():
            raise ValueError(f"{line!r}: write a key and a strategy, as in `customer.id hash`")
        pairs.append((key.strip(), strategy.lower()))
    return pairs


def _custom(line: str) -> dict[str, str]:
    parts = line.split(None, 2)
    if len(parts) < 3:
        raise ValueError(
            f"{line!r}: write a name, a strategy and a pattern, as in `badge mask EMP-[0-9]{{6}}`"
        )
    name, strategy, pattern = parts
    return {"name": name, "strategy": strategy.lower(), "pattern": pattern}
