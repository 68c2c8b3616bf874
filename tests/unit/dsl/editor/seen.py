"""What was seen in the traffic of a tenant that writes rules."""

from __future__ import annotations

from dsl import KnownNames

SEEN = KnownNames(
    span_names=frozenset(
        ["payment.charge", "payment.refund", "fraud.check", "GET /users/{id}", "db.query"]
    ),
    span_counts={"payment.charge": 1200, "db.query": 9, "GET /users/{id}": 8},
    attributes={
        "amount": frozenset(["number"]),
        "user.id": frozenset(["text"]),
        "k8s.pod/name": frozenset(["text"]),
        "status": frozenset(["number", "text"]),
        "region": frozenset(["text"]),
        "settled": frozenset(["boolean"]),
    },
    attributes_of={
        "payment.charge": frozenset(["amount", "region"]),
        "db.query": frozenset(["user.id"]),
    },
    values={"region": ("eu-west-1", "us"), "service": ("crm", "my shop"), "amount": ("5", "7")},
)


def at_cursor(text: str) -> tuple[str, int]:
    """Return a text without its `|`, and where that stood."""
    offset = text.index("|")
    return text[:offset] + text[offset + 1 :], offset
