"""Redactors for tests, and every place of a span that can hold a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from tests.support import otlp
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.tokens import RedactionKey
from udfs.redaction.vault import Vault

KEY = RedactionKey("k1", bytes(range(32)))
OTHER_KEY = RedactionKey("k1", bytes(range(1, 33)))


def redactor(
    policy: Policy | None = None, *, key: RedactionKey = KEY, vault: Vault | None = None
) -> Redactor:
    """Return a redactor with the defaults, or with a policy."""
    return Redactor(policy or Policy(), key, **({"vault": vault} if vault else {}))


def string(text: str) -> AnyValue:
    return AnyValue(string_value=text)


def array(*values: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=values))


def a_map(**values: AnyValue) -> AnyValue:
    entries = [KeyValue(key=key, value=value) for key, value in values.items()]
    return AnyValue(kvlist_value=KeyValueList(values=entries))


def a_span(**fields: object) -> Span:
    """Return a span with ids, a root; fields of the message on top."""
    made = otlp.span()
    made.MergeFrom(Span(**fields))  # type: ignore[arg-type]
    return made


def request(
    *spans: Span, resource: Resource | None = None, scope: InstrumentationScope | None = None
) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=spans)])
        ]
    )


def with_attribute(key: str, value: AnyValue) -> ExportTraceServiceRequest:
    """Return a request of one span with one attribute."""
    return request(a_span(attributes=[KeyValue(key=key, value=value)]))


def redacted(
    sent: ExportTraceServiceRequest, by: Redactor | None = None
) -> ExportTraceServiceRequest:
    """Return a request as it is after redaction."""
    value, _ = (by or redactor()).record(sent.SerializeToString())
    return ExportTraceServiceRequest.FromString(value)


def attribute_after(key: str, value: AnyValue | str, by: Redactor | None = None) -> AnyValue:
    """Return what redaction makes of an attribute of a span."""
    given = string(value) if isinstance(value, str) else value
    span = redacted(with_attribute(key, given), by).resource_spans[0].scope_spans[0].spans[0]
    (found,) = (kv.value for kv in span.attributes if kv.key == key)
    return found


def _in_attribute(value: AnyValue) -> ExportTraceServiceRequest:
    return with_attribute("app.note", value)


PLACES: dict[str, Callable[[str], ExportTraceServiceRequest]] = {
    "span name": lambda s: request(a_span(name=s)),
    "attribute": lambda s: _in_attribute(string(s)),
    "attribute key": lambda s: with_attribute(f"tag {s}", string("1")),
    "array": lambda s: _in_attribute(array(string("a"), string(s))),
    "array in array": lambda s: _in_attribute(array(array(string(s)))),
    "map": lambda s: _in_attribute(a_map(one=string("1"), two=string(s))),
    "map key": lambda s: _in_attribute(
        AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=s, value=string("1"))]))
    ),
    "map in array in map": lambda s: _in_attribute(a_map(one=array(a_map(two=string(s))))),
    "bytes": lambda s: _in_attribute(AnyValue(bytes_value=b"\x00\xff" + s.encode())),
    "event name": lambda s: request(a_span(events=[Span.Event(time_unix_nano=1, name=s)])),
    "event attribute": lambda s: request(
        a_span(events=[Span.Event(name="e", attributes=[KeyValue(key="m", value=string(s))])])
    ),
    "link attribute": lambda s: request(
        a_span(links=[Span.Link(attributes=[KeyValue(key="m", value=string(s))])])
    ),
    "link trace state": lambda s: request(a_span(links=[Span.Link(trace_state=f"a={s}")])),
    "trace state": lambda s: request(a_span(trace_state=f"vendor={s}")),
    "status message": lambda s: request(a_span(status=Status(code=2, message=s))),
    "resource attribute": lambda s: request(
        a_span(), resource=Resource(attributes=[KeyValue(key="app.owner", value=string(s))])
    ),
    "entity reference": lambda s: request(
        a_span(), resource=Resource(entity_refs=[EntityRef(type="service", id_keys=["a", s])])
    ),
    "scope name": lambda s: request(a_span(), scope=InstrumentationScope(name=s)),
    "scope version": lambda s: request(a_span(), scope=InstrumentationScope(version=s)),
    "scope attribute": lambda s: request(
        a_span(), scope=InstrumentationScope(attributes=[KeyValue(key="m", value=string(s))])
    ),
    "schema of the resource": lambda s: ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(schema_url=s, scope_spans=[ScopeSpans(spans=[a_span()])])]
    ),
    "schema of the scope": lambda s: ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(schema_url=s, spans=[a_span()])])]
    ),
}
"""Where a text can stand → a request that has it there."""


def strings_of(message: object) -> Iterator[bytes]:
    """Yield every text and every bytes value of a message, however deep."""
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        for item in value if field.label == field.LABEL_REPEATED else (value,):
            if isinstance(item, str):
                yield item.encode()
            elif isinstance(item, bytes):
                yield item
            elif hasattr(item, "ListFields"):
                yield from strings_of(item)
