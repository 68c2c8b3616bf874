"""The shop's six services: what each does, and how a request can make it break a promise.

A request's body says what is to go wrong with it (`slip`), so that the traffic can be planned.
"""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode, get_current_span

from deploy.demo.service import Body, Collector, Handler, Protocol, Service

RETRIES_OF_A_STORM = 8

CHECKOUT, PROFILE, ADMIN = "POST /checkout", "GET /profile", "DELETE /admin/users/{id}"


def shop(collector: Collector) -> dict[str, Service]:
    """All services by name, started and known to each other."""
    plan: dict[str, tuple[Protocol, dict[str, Handler]]] = {
        "frontend": ("http", {CHECKOUT: _checkout, PROFILE: _profile, ADMIN: _admin}),
        "checkout": ("http", {"order.create": _create_order}),
        "payment": ("grpc", {"payment.charge": _charge}),
        "fraud": ("grpc", {"fraud.check": _check_fraud}),
        "customers": ("http", {"customers.read": _read, "customers.delete": _delete}),
        "audit": ("grpc", {"audit.log": _log}),
    }
    services = {
        name: Service(name, protocol, routes, collector)
        for name, (protocol, routes) in plan.items()
    }
    addresses = {name: service.address for name, service in services.items()}
    for service in services.values():
        service.peers.update(addresses)
        service.start()
    return services


# frontend


def _checkout(frontend: Service, body: Body) -> Body:
    return frontend.call("checkout", "order.create", **body)


def _profile(frontend: Service, body: Body) -> Body:
    answer = frontend.call("customers", "customers.read", **body)
    if body.get("slip") != "no audit":
        frontend.call("audit", "audit.log", user=body["user"], action="read")
    return answer


def _admin(frontend: Service, body: Body) -> Body:
    if body.get("slip") != "no authorisation":
        _work(frontend, "auth.check", allowed=True, role="admin")
    return frontend.call("customers", "customers.delete", **body)


# checkout


def _create_order(checkout: Service, body: Body) -> Body:
    _note(user=body["user"], amount=body["amount"])
    if body["amount"] > 1000 and body.get("slip") != "no fraud check":
        checkout.call("fraud", "fraud.check", **body)
    paid = bool(checkout.call("payment", "payment.charge", **body)["paid"])
    if paid or body.get("slip") == "ship anyway":
        _work(checkout, "order.ship", carrier="post")
    return {"paid": paid}


# payment, fraud, customers, audit


def _charge(payment: Service, body: Body) -> Body:
    _note(amount=body["amount"], currency="EUR")
    storm = body.get("slip") == "retry storm"
    for attempt in range(1, (RETRIES_OF_A_STORM if storm else 1) + 1):
        failed = storm and attempt < RETRIES_OF_A_STORM
        _work(payment, "gateway.call", failed=failed, attempt=attempt)
    if body.get("declined"):
        _span().set_status(Status(StatusCode.ERROR, "declined"))
        return {"paid": False}
    return {"paid": True}


def _check_fraud(fraud: Service, body: Body) -> Body:
    _note(score=0.1, amount=body["amount"])
    return {"accepted": True}


def _read(customers: Service, body: Body) -> Body:
    _work(
        customers,
        "db.query",
        contains_pii=True,
        **{"db.system": "postgresql", "user.id": body["user"]},
    )
    return {"name": "Ada"}


def _delete(customers: Service, body: Body) -> Body:
    _work(customers, "admin.action", **{"action": "delete user", "user.id": body["user"]})
    return {}


def _log(audit: Service, body: Body) -> Body:
    _note(**{"user.id": body["user"], "action": body["action"]})
    return {}


# spans


def _work(service: Service, name: str, *, failed: bool = False, **attributes: Any) -> None:
    """A span of a few milliseconds inside the current one."""
    with service.tracer.start_as_current_span(name, attributes=attributes) as span:
        time.sleep(0.003)
        if failed:
            span.set_status(Status(StatusCode.ERROR, "timeout"))


def _note(**attributes: Any) -> None:
    """Attributes for the request that is being handled."""
    _span().set_attributes(attributes)


def _span() -> Span:
    return get_current_span()
