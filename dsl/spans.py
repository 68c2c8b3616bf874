"""A span as the language sees it: the protocol, and a plain implementation.

Anything with these attributes can be judged; the stream has a lazy one over OTLP bytes. The plain
one is what suites, the API and the worker use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal, Protocol, TypeAlias

from dsl.values import GONE, MISSING, Read, Value

Kind: TypeAlias = str
KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""By their OTLP number."""
STATUSES: Final = ("unset", "ok", "error")
"""By their OTLP number."""
HAS_IS_REMOTE: Final = 0x100
"""OTLP flag of a span: its producer says whether the parent is of another process."""
IS_REMOTE: Final = 0x200
"""OTLP flag of a span: it is."""
KINDS_CALLED_FROM_AFAR: Final = frozenset({"server", "consumer"})
"""Spans of these kinds have a parent in another process, where their producer does not say."""


class EventView(Protocol):
    """Something that happened during a span."""

    @property
    def name(self) -> str: ...
    def attribute(self, key: str) -> Read: ...


class LinkView(Protocol):
    """A pointer from a span to another, perhaps of another trace."""

    @property
    def trace_id(self) -> bytes: ...
    @property
    def span_id(self) -> bytes: ...
    def attribute(self, key: str) -> Read: ...


class SpanView(Protocol):
    """One span. Ids are bytes (8; parent empty for a root), times nanoseconds since 1970.

    The attribute functions take a whole key, dots and all; a path into nested maps is tried after
    the key as it stands. They return MISSING for what was never there and GONE for what was taken
    away (redacted, or absent while the span's dropped count says that something was dropped).

    An implementation may also have `events_dropped` and `links_dropped` (booleans): with them, a
    question that no event or link answers is unknown instead of false. And `parent_is_remote`:
    whether its parent is of another process, None if its producer does not say.
    """

    @property
    def span_id(self) -> bytes: ...
    @property
    def parent_span_id(self) -> bytes: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def status_message(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...
    @property
    def service(self) -> str: ...
    @property
    def events(self) -> Sequence[EventView]: ...
    @property
    def links(self) -> Sequence[LinkView]: ...
    def span_attribute(self, key: str) -> Read: ...
    def resource_attribute(self, key: str) -> Read: ...
    def scope_attribute(self, key: str) -> Read: ...


def look_up(
    attributes: Mapping[str, Any], key: str, *, gone: frozenset[str], dropped: bool
) -> Read:
    """Return the value of a key, or of a path into maps, or why there is none.

    gone: keys known to have been taken away. dropped: something was dropped, nobody knows what.
    """
    value = attributes.get(key, MISSING)
    if value is not MISSING:
        return value  # type: ignore[no-any-return]
    if key in gone:
        return GONE
    if "." in key:
        nested = _nested(attributes, key)
        if nested is not MISSING:
            return nested
    return GONE if dropped else MISSING


def _nested(attributes: Mapping[str, Any], key: str) -> Read:
    """Follow a dotted path into maps, the longest first step first."""
    cut = key.rfind(".")
    while cut > 0:
        inner = attributes.get(key[:cut])
        if isinstance(inner, dict):
            rest = key[cut + 1 :]
            value = inner.get(rest, MISSING)
            if value is MISSING and "." in rest:
                value = _nested(inner, rest)
            if value is not MISSING and value is not None:
                return value  # type: ignore[no-any-return]
        cut = key.rfind(".", 0, cut)
    return MISSING


@dataclass(frozen=True, slots=True)
class Event:
    """A plain event. time_ns: nanoseconds since 1970."""

    name: str = ""
    time_ns: int = 0
    attributes: Mapping[str, Value] = field(default_factory=dict)
    dropped_attributes_count: int = 0

    def attribute(self, key: str) -> Read:
        """Return an attribute of the event."""
        dropped = self.dropped_attributes_count > 0
        return look_up(self.attributes, key, gone=frozenset(), dropped=dropped)


@dataclass(frozen=True, slots=True)
class Link:
    """A plain link. Ids are 16 and 8 bytes."""

    trace_id: bytes = b""
    span_id: bytes = b""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    dropped_attributes_count: int = 0

    def attribute(self, key: str) -> Read:
        """Return an attribute of the link."""
        dropped = self.dropped_attributes_count > 0
        return look_up(self.attributes, key, gone=frozenset(), dropped=dropped)


@dataclass(frozen=True, slots=True)
class Span:
    """A plain span (see SpanView). redacted: keys of attributes that were taken away.

    parent_is_remote: as its producer says; None where it does not. trace_id is 16 bytes, or empty
    where only one trace is at hand. label: how people call the span in a suite ("q"); without one,
    its id in hex.
    """

    span_id: bytes
    name: str
    parent_span_id: bytes = b""
    trace_id: bytes = b""
    kind: Kind = "unspecified"
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str = ""
    start_ns: int = 0
    end_ns: int = 0
    attributes: Mapping[str, Value] = field(default_factory=dict)
    resource: Mapping[str, Value] = field(default_factory=dict)
    scope: Mapping[str, Value] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    dropped_links_count: int = 0
    resource_dropped_attributes_count: int = 0
    scope_dropped_attributes_count: int = 0
    redacted: frozenset[str] = frozenset()
    parent_is_remote: bool | None = None
    label: str = ""

    @property
    def service(self) -> str:
        """The resource's service.name, or nothing."""
        name = self.resource.get("service.name", "")
        return name if isinstance(name, str) else ""

    @property
    def events_dropped(self) -> bool:
        """Whether the producer left events out."""
        return self.dropped_events_count > 0

    @property
    def links_dropped(self) -> bool:
        """Whether the producer left links out."""
        return self.dropped_links_count > 0

    def span_attribute(self, key: str) -> Read:
        """Return an attribute of the span itself."""
        dropped = self.dropped_attributes_count > 0
        return look_up(self.attributes, key, gone=self.redacted, dropped=dropped)

    def resource_attribute(self, key: str) -> Read:
        """Return an attribute of the resource."""
        dropped = self.resource_dropped_attributes_count > 0
        return look_up(self.resource, key, gone=frozenset(), dropped=dropped)

    def scope_attribute(self, key: str) -> Read:
        """Return an attribute of the instrumentation scope; its name and version are two too."""
        dropped = self.scope_dropped_attributes_count > 0
        return look_up(self.scope, key, gone=frozenset(), dropped=dropped)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Span:
        """Return the span of one entry of a suite's `trace:` list.

        Fields as in the manual; durations are texts (`30ms`) or nanoseconds. Raises ValueError
        with a sentence for people if a field is unknown or has no sense.
        """
        from dsl.traces import span_from_fields

        return span_from_fields(fields, position=0)


def id_of(text: str, /, *, size: int = 8) -> bytes:
    """Return the bytes of an id: hex of the right length as it is, any other name hashed."""
    if len(text) == 2 * size:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    return blake2b(text.encode(errors="surrogatepass"), digest_size=size).digest()


def is_root(span: SpanView) -> bool:
    """Tell whether a span has no parent. OTLP writes no id or a zero id."""
    return not any(span.parent_span_id)


def remote_by_flags(flags: int) -> bool | None:
    """Return what the OTLP flags of a span say of its parent: remote, local, or nothing.

    Source: opentelemetry-proto trace/v1/trace.proto, SpanFlags.
    """
    return bool(flags & IS_REMOTE) if flags & HAS_IS_REMOTE else None


def has_remote_parent(span: SpanView) -> bool:
    """Tell whether a span has a parent in another process: as its producer says, else by kind."""
    if is_root(span):
        return False
    said: bool | None = getattr(span, "parent_is_remote", None)
    return span.kind in KINDS_CALLED_FROM_AFAR if said is None else said


def distinct_spans(spans: Iterable[SpanView]) -> list[SpanView]:
    """Return spans without repetitions: the same id, kind, name and start counts once, the first.

    The same id with another kind or name is another span (shared ids of client and server).
    """
    seen: set[tuple[bytes, str, str, int]] = set()
    kept: list[SpanView] = []
    for span in spans:
        identity = (span.span_id, span.kind, span.name, span.start_ns)
        if identity not in seen:
            seen.add(identity)
            kept.append(span)
    return kept


def root_of(spans: Iterable[SpanView]) -> SpanView | None:
    """Return the root: of the spans without a parent the one that starts first.

    Two halves of a shared id may start together: then name and service decide, so that the order
    of arrival does not.
    """
    roots = [span for span in spans if is_root(span)]
    return min(roots, key=lambda s: (s.start_ns, s.span_id, s.name, s.service), default=None)


def external_root_of(spans: Sequence[SpanView]) -> SpanView | None:
    """Return what stands for the root of a trace that begins outside of what is exported.

    Where no span is without a parent it is the only span whose parent is remote and did not come;
    None if there is no such span, or more than one. spans: each once.
    """
    if root_of(spans) is not None:
        return None
    came = {span.span_id for span in spans}
    called = [s for s in spans if s.parent_span_id not in came and has_remote_parent(s)]
    return called[0] if len(called) == 1 else None


def spans_from_otlp_json(document: Mapping[str, Any]) -> list[Span]:
    """Return the spans of an OTLP/JSON request or file (see dsl.traces)."""
    from dsl.traces import spans_from_otlp_json as read

    return read(document)
