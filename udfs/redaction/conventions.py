"""What OpenTelemetry's own attributes mean for redaction.

Most of them are closed vocabularies, sizes and ids: detectors find nothing there, or would find it
by mistake (a version `1.2.3.4` is no address). SPARED says what is not looked for where, MEANT what
a key stands for although its words do not say it, or not for although they do.
Source: OpenTelemetry semantic conventions 1.37, attribute registry, with the older names of
`http.*`, `net.*` and `db.*` that agents still send. Reasons: deploy/decisions/0042.
"""

from __future__ import annotations

import re

import re2

from udfs.redaction import kinds
from udfs.redaction.detectors import KEY_START, Detector, whole_key_gate

MEANT: dict[str, str | None] = {
    "enduser.id": kinds.USER_ID,
    "user.name": kinds.USER_ID,
    "user.full_name": kinds.PERSON_NAME,
    "user.email": kinds.EMAIL,
    "geo.location.lat": kinds.LOCATION,
    "geo.location.lon": kinds.LOCATION,
    "geo.postal_code": kinds.POSTAL_ADDRESS,
    # Words that mean something else here.
    "aws.secretsmanager.secret.arn": None,
    "gen_ai.token.type": None,
    "k8s.secret.name": None,
    "k8s.secret.uid": None,
    "browser.mobile": None,
    "aws.iam.access_key.id": kinds.API_KEY,
}
"""Key → what its values are; None: nothing by the key."""

MEANT_BELOW: tuple[tuple[str, str], ...] = (
    ("db.query.parameter.", kinds.DB_PARAMETER),
    ("db.operation.parameter.", kinds.DB_PARAMETER),
)
"""Beginning of keys → what their values are."""

_NO_ADDRESS = frozenset({kinds.IP_ADDRESS})
_NO_NUMBER = kinds.NUMBERS

SPARED: dict[str, frozenset[str]] = {
    # Addresses of what the sender runs or calls, not of people.
    "server.address": _NO_ADDRESS,
    "destination.address": _NO_ADDRESS,
    "network.local.address": _NO_ADDRESS,
    "net.host.ip": _NO_ADDRESS,
    "net.host.name": _NO_ADDRESS,
    "net.sock.host.addr": _NO_ADDRESS,
    "net.peer.name": _NO_ADDRESS,
    "host.ip": _NO_ADDRESS,
    "http.host": _NO_ADDRESS,
    "dns.answers": _NO_ADDRESS,
    "dns.question.name": _NO_ADDRESS,
    "k8s.pod.ip": _NO_ADDRESS,
    "peer.service": _NO_ADDRESS,
    # Versions look like addresses, ids like numbers.
    "user_agent.original": _NO_NUMBER,
    "http.user_agent": _NO_NUMBER,
    "user_agent.version": _NO_NUMBER,
    "os.description": _NO_NUMBER,
    "os.build_id": _NO_NUMBER,
    "trace_id": _NO_NUMBER,
    "span_id": _NO_NUMBER,
    "trace.id": _NO_NUMBER,
    "span.id": _NO_NUMBER,
    "container.id": _NO_NUMBER,
    "container.image.id": _NO_NUMBER,
    "host.id": _NO_NUMBER,
    "host.image.id": _NO_NUMBER,
    "service.instance.id": _NO_NUMBER,
    "session.id": _NO_NUMBER,
    "session.previous_id": _NO_NUMBER,
    "messaging.message.id": _NO_NUMBER,
    "messaging.message.conversation_id": _NO_NUMBER,
    "messaging.kafka.message.offset": _NO_NUMBER,
    "messaging.kafka.offset": _NO_NUMBER,
    "messaging.client.id": _NO_NUMBER,
    "db.instance.id": _NO_NUMBER,
    "faas.invocation_id": _NO_NUMBER,
    "aws.request_id": _NO_NUMBER,
    "cloud.account.id": _NO_NUMBER,
    "cloud.resource_id": _NO_NUMBER,
    "thread.id": _NO_NUMBER,
    "process.pid": _NO_NUMBER,
    "device.id": _NO_NUMBER,
    "vcs.ref.head.revision": _NO_NUMBER,
    "vcs.ref.base.revision": _NO_NUMBER,
    "artifact.hash": _NO_NUMBER,
}
"""Key → kinds that are not looked for in its values."""

_VERSIONS = (".version", "_version")

PATHS = frozenset({"url.path", "url.full", "url.template", "http.route", "http.target", "http.url"})
"""Keys of addresses, in whose paths a segment of bare digits is an id."""

_STATEMENTS = ("db.query.text", "db.statement")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _literal(text: bytes, start: int, end: int) -> int:
    """Take a literal, unless control characters before it hid it from the gate."""
    return 0 if _CONTROL.search(text, 0, start) else end


DATABASE = (
    Detector(
        kinds.DB_LITERAL,
        rb"'[^']*'",
        # key ‖ 12 length 0A length ‖ text up to the first quote
        gate=rb"db\.(?:query\.text|statement)\x12(?s:.){3,12}?[^'\x00-\x08\x0b\x0c\x0e-\x1f]*'",
        keys=frozenset(_STATEMENTS),
        fit=_literal,
    ),
)
"""Literals of statements, as the conventions ask to leave them out."""

GATES: tuple[tuple[str, bytes], ...] = (
    *((kind, whole_key_gate(key)) for key, kind in MEANT.items() if kind),
    *((kind, KEY_START + re2.escape(beginning.encode())) for beginning, kind in MEANT_BELOW),
)
"""(kind, pattern over serialized bytes)."""


_REGISTERED = (
    "android. app. artifact. aspnetcore. aws. azure. browser. cassandra. cicd. client. cloud. "
    "cloudevents. cloudfoundry. code. container. cpu. cpython. db. deployment. destination. "
    "device. disk. dns. dotnet. elasticsearch. enduser. error. event. exception. faas. "
    "feature_flag. file. gcp. gen_ai. geo. go. graphql. hardware. heroku. host. http. hw. ios. "
    "jvm. k8s. linux. log. mainframe. message. messaging. net. network. nodejs. oci. openai. "
    "opentracing. openshift. os. otel. peer. pprof. process. profile. rpc. security_rule. server. "
    "service. session. signalr. source. system. telemetry. test. thread. tls. url. user. "
    "user_agent. v8js. vcs. webengine. zos."
)
"""Beginnings of the registry's keys: what they hold is known, and nothing to be guessed at."""
_NAMESPACES = frozenset(_REGISTERED.split())


def is_conventional(key: str) -> bool:
    """Whether a key is of a namespace of the registry."""
    return key.partition(".")[0] + "." in _NAMESPACES


def spared(key: str) -> frozenset[str]:
    """Return the kinds that are not looked for in the values of a key."""
    if key.endswith(_VERSIONS):
        return _NO_NUMBER
    return SPARED.get(key, frozenset())


def meant_by(key: str) -> tuple[bool, str | None]:
    """Return whether the conventions say what a key stands for, and what: a kind, or None."""
    if key in MEANT:
        return True, MEANT[key]
    for beginning, kind in MEANT_BELOW:
        if key.startswith(beginning):
            return True, kind
    return False, None
