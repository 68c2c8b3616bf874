"""The page that leads a new person to the first signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.keys.model import MadeKey
from api.tenants.first_run import Progress
from api.tenants.starter import FIRST
from api.web.views.links import rule_href
from api.web.views.words import Message

WELCOME_HREF: Final = "/welcome"
KEY_IN_PLACE_OF: Final = "<your key>"
_SPAN: Final = """\
curl -sS "{url}/v1/traces" -H "Content-Type: application/json" \\
  -H "x-api-key: {key}" -d @- <<EOF
{{"resourceSpans": [{{
  "resource": {{"attributes": [{{"key": "service.name", "value": {{"stringValue": "reports"}}}}]}},
  "scopeSpans": [{{"spans": [{{
    "traceId": "$(openssl rand -hex 16)", "spanId": "$(openssl rand -hex 8)",
    "name": "GET /report", "kind": 2,
    "startTimeUnixNano": "$(date +%s)000000000", "endTimeUnixNano": "$(date +%s)250000000",
    "attributes": [{{"key": "url.query", "value": {{"stringValue": "api_key=not-a-real-one"}}}}]
  }}]}}]
}}]}}
EOF"""
"""A request that breaks the rule FIRST: its URL holds a key."""
_SDK: Final = """\
export OTEL_EXPORTER_OTLP_ENDPOINT={url}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_HEADERS=x-api-key={key}"""
_COLLECTOR: Final = """\
exporters:
  otlphttp/betrace:
    endpoint: {url}
    headers:
      x-api-key: {key}"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to wait for. state: done, now, or later."""

    text: str
    state: str


@dataclass(frozen=True, slots=True)
class ProgressPanel:
    """How far things have come. signal_href: empty until there is a signal, and done then."""

    steps: tuple[Step, ...]
    signal_href: str
    signal_name: str

    @property
    def waits(self) -> bool:
        """Whether to look again."""
        return not self.signal_href


@dataclass(frozen=True, slots=True)
class Text:
    """Something to copy. secret: it holds a key that is shown once."""

    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WelcomePage:
    """The page. key: just made, else empty. may_*: what the viewer may do about what is missing."""

    key: str
    key_name: str
    may_make_key: bool
    has_rule: bool
    may_write_rules: bool
    rule_href: str
    example: Text
    own: tuple[Text, ...]
    progress: ProgressPanel
    message: Message | None


def welcome_page(
    progress: Progress,
    *,
    otlp_url: str,
    may_make_key: bool,
    may_write_rules: bool,
    made: MadeKey | None = None,
    message: Message | None = None,
) -> WelcomePage:
    """Return the page. made: a key to be shown once, in all that is to be copied."""
    key = made.text if made else ""
    filled = {"url": otlp_url, "key": key or KEY_IN_PLACE_OF}
    return WelcomePage(
        key=key,
        key_name=made.key.name if made else "",
        may_make_key=may_make_key,
        has_rule=progress.has_rule,
        may_write_rules=may_write_rules,
        rule_href=rule_href(FIRST),
        example=Text("A trace by hand", _SPAN.format(**filled)),
        own=(
            Text("Any OpenTelemetry SDK", _SDK.format(**filled)),
            Text("A Collector", _COLLECTOR.format(**filled)),
        ),
        progress=progress_panel(progress),
        message=message,
    )


def progress_panel(progress: Progress) -> ProgressPanel:
    """Return what is done, what is waited for now, and what comes after it."""
    facts = (
        ("Rules are judging", progress.judging),
        ("Spans have come", progress.spans),
        ("A promise was broken", progress.signal is not None),
    )
    waited_for = next((text for text, done in facts if not done), "")
    steps = tuple(
        Step(text, "done" if done else "now" if text == waited_for else "later")
        for text, done in facts
    )
    signal = progress.signal
    return ProgressPanel(
        steps,
        signal_href=f"/signals/{signal.id}" if signal else "",
        signal_name=signal.rule_name if signal else "",
    )
