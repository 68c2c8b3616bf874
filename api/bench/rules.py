"""The rule mix: promises of several families, each with the means to keep and to break it.

Half of a mix asks for span names of the traffic, 5 % ask `any.where(…)`, the rest asks for names
that never come. Every rule of a family has values of its own, so a plant for one rule concerns
no other; only the thresholds of `LargeCharge` overlap, and there the rules of lower rank follow
from the rank planted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from api.bench.drafts import Outcome, SpanDraft, TraceDraft

Place = Literal["present", "any", "absent"]


class Family(Protocol):
    """Rules of one pattern; k counts the rules of the family in a mix from 0."""

    @property
    def unfiltered(self) -> tuple[str, ...]:
        """Span names that the rules ask for without any filter."""

    def text(self, k: int) -> str:
        """Return the promise."""

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        """Make `when` true and keep the promise."""

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        """Make `when` true and break the promise."""


class AuditedRead:
    """A read of personal data leaves an audit record: two equalities, violated by absence."""

    unfiltered = ()

    def text(self, k: int) -> str:
        return (
            f'when {{ db.query.where(db.collection.name == "pii_{k}" and contains_pii == true) }}\n'
            f'always {{ audit.log.where(audit.object == "pii_{k}") }}'
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self.breach(trace, k)
        trace.carry("audit.log", audit__object=f"pii_{k}")
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("db.query", db__collection__name=f"pii_{k}", contains_pii=True)
        return Outcome.BROKEN_BY_ABSENCE


class LargeCharge:
    """A charge above a threshold is checked: an ordering, which no equality index answers."""

    unfiltered = ("fraud.check",)
    first_threshold = 1_000
    step = 10

    def text(self, k: int) -> str:
        threshold = self.first_threshold + self.step * k
        return (
            f"when {{ payment.charge.where(payment.amount > {threshold}) }}\n"
            "always { fraud.check }"
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self._charge(trace, k)
        trace.carry("fraud.check")
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        self._charge(trace, k)
        trace.rename("fraud.check", "fraud.lookup")
        return Outcome.BROKEN_BY_ABSENCE

    def _charge(self, trace: TraceDraft, k: int) -> None:
        trace.carry("payment.charge", payment__amount=self.first_threshold + self.step * k + 5.5)


class NoBypass:
    """An order of a region goes without a bypass: violated by presence, at once."""

    unfiltered = ()

    def text(self, k: int) -> str:
        return (
            f'when {{ order.place.where(order.region == "region-{k}") }}\n'
            f'never {{ payment.bypass.where(order.region == "region-{k}") }}'
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("order.place", order__region=f"region-{k}")
        return Outcome.KEPT_BY_ABSENCE

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        self.keep(trace, k)
        trace.carry("payment.bypass", order__region=f"region-{k}")
        return Outcome.BROKEN_BY_PRESENCE


class FewFailedLogins:
    """At most three failed logins of a realm in a trace: counted by span id."""

    unfiltered = ()

    def text(self, k: int) -> str:
        realm = f'realm == "realm-{k}"'
        return (
            f"when {{ login.attempt.where({realm}) }}\n"
            f"never {{ count(login.attempt.where({realm} and success == false)) > 3 }}"
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self._fail(trace, k, times=trace.rng.randrange(1, 4))
        return Outcome.KEPT_BY_ABSENCE

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        self._fail(trace, k, times=trace.rng.randrange(4, 7))
        return Outcome.BROKEN_BY_PRESENCE

    def _fail(self, trace: TraceDraft, k: int, *, times: int) -> None:
        for _ in range(times):
            trace.carry("login.attempt", realm=f"realm-{k}", success=False)


class FailedCallRetried:
    """A failed call of a peer is tried again: the status of the span takes part."""

    unfiltered = ()

    def text(self, k: int) -> str:
        return (
            f'when {{ http.call.where(status == error and peer.service == "peer-{k}") }}\n'
            f'always {{ http.retry.where(peer.service == "peer-{k}") }}'
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self.breach(trace, k)
        trace.carry("http.retry", peer__service=f"peer-{k}")
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("http.call", peer__service=f"peer-{k}").error = True
        return Outcome.BROKEN_BY_ABSENCE


class VaultReadGranted:
    """A read below a vault's folder needs a grant: prefixes of texts."""

    unfiltered = ()

    def text(self, k: int) -> str:
        return (
            f'when {{ file.read.where(file.path starts_with "/vault/{k}/") }}\n'
            f'always {{ access.grant.where(file.path starts_with "/vault/{k}/") }}'
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self.breach(trace, k)
        trace.carry("access.grant", file__path=f"/vault/{k}/")
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("file.read", file__path=f"/vault/{k}/secret.bin")
        return Outcome.BROKEN_BY_ABSENCE


class FailedOrderNoted:
    """A server error for a tier of customers is noted: a quoted name, an order, a list."""

    unfiltered = ()

    def text(self, k: int) -> str:
        return (
            'when { "GET /orders/{id}".where(http.response.status_code >= 500'
            f' and customer.tier == "tier-{k}") }}\n'
            f'always {{ incident.note.where(customer.tier in ["tier-{k}", "tier-{k}-test"]) }}'
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self.breach(trace, k)
        trace.carry("incident.note", customer__tier=f"tier-{k}")
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("GET /orders/{id}", customer__tier=f"tier-{k}", http__response__status_code=502)
        return Outcome.BROKEN_BY_ABSENCE


class AnySecretRotated:
    """Spans of any name with an attribute that few spans have."""

    unfiltered = ()

    def text(self, k: int) -> str:
        return (
            f'when {{ any.where(secret.scope == "scope-{k}") }}\n'
            f'always {{ any.where(secret.rotated == "scope-{k}") }}'
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self.breach(trace, k)
        trace.carry("token.verify", secret__rotated=f"scope-{k}")
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("session.load", secret__scope=f"scope-{k}")
        return Outcome.BROKEN_BY_ABSENCE


class AnyOddStatus:
    """Spans of any name with an attribute that half of all spans have, asked for an order."""

    unfiltered = ()
    first_code = 1_000

    def text(self, k: int) -> str:
        low = self.first_code + 10 * k
        return (
            f"when {{ any.where(http.response.status_code >= {low}"
            f" and http.response.status_code < {low + 10}) }}\n"
            f"always {{ incident.note.where(incident.code == {low}) }}"
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        self.breach(trace, k)
        trace.carry("incident.note", incident__code=self.first_code + 10 * k)
        return Outcome.KEPT

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        trace.carry("GET /search", http__response__status_code=self.first_code + 10 * k + 3)
        return Outcome.BROKEN_BY_ABSENCE


class ReadBelowGrant:
    """What is exported is read below a grant of it: an ancestor, so that every span is linked."""

    unfiltered = ()

    def text(self, k: int) -> str:
        path = f'file.path == "/export/{k}"'
        return (
            f"when {{ file.read.where({path}) as read }}\n"
            f"always {{ access.grant.where({path}) ancestor of read }}"
        )

    def keep(self, trace: TraceDraft, k: int) -> Outcome:
        read, grant = self._read_and_grant(trace, k)
        grant.parent, read.parent = 0, trace.place_of(grant)
        return Outcome.KEPT_BY_ABSENCE  # of a read that no grant is above

    def breach(self, trace: TraceDraft, k: int) -> Outcome:
        read, grant = self._read_and_grant(trace, k)
        read.parent, grant.parent = 0, trace.place_of(read)
        return Outcome.BROKEN_BY_ABSENCE

    def _read_and_grant(self, trace: TraceDraft, k: int) -> tuple[SpanDraft, SpanDraft]:
        path = f"/export/{k}"
        return (
            trace.carry("file.read", file__path=path),
            trace.carry("access.grant", file__path=path),
        )


PRESENT: tuple[Family, ...] = (
    AuditedRead(),
    LargeCharge(),
    NoBypass(),
    FewFailedLogins(),
    FailedCallRetried(),
    VaultReadGranted(),
    FailedOrderNoted(),
)
STRUCTURAL = ReadBelowGrant()
ANY: tuple[Family, ...] = (AnySecretRotated(), AnyOddStatus())

_ABSENT = (
    "when {{ legacy.export_{k}.where(export.rows > 1000) }}\nalways {{ legacy.approval_{k} }}",
    'when {{ batch.import_{k}.where(import.source == "ftp") }}\nnever {{ batch.skip_check_{k} }}',
    'when {{ "DELETE /accounts/{k}" }}\nalways {{ backup.taken_{k}.where(status != error) }}',
    "when {{ wire.transfer_{k}.where(wire.amount >= 5000 and wire.currency in [USD, EUR]) }}\n"
    "always {{ wire.approval_{k} and audit.record_{k} }}",
)


@dataclass(frozen=True, slots=True)
class BenchRule:
    """One rule of a mix; family and k are None and 0 for names that never come."""

    number: int
    rule_id: str
    text: str
    place: Place
    family: Family | None
    k: int


def rule_mix(count: int, *, first_k: int = 0, structural: int = 0) -> tuple[BenchRule, ...]:
    """Return a mix of so many rules: half on present names, 5 % on any name, the rest absent.

    From 10 rules on at least one asks for any name. first_k: of every family; mixes whose numbers
    lie so far apart have no text in common. structural: how many of those on present names ask
    where in the tree a span stands.
    """
    any_count = max(count // 20, 1) if count >= 10 else 0
    present_count = (count + 1) // 2
    places: list[Place] = ["present" for _ in range(present_count)]
    places.extend("any" for _ in range(any_count))
    places.extend("absent" for _ in range(count - len(places)))
    seen: dict[object, int] = {}
    rules = []
    for number, place in enumerate(places):
        if number < min(structural, present_count):
            family: Family | None = STRUCTURAL
        else:
            family = _family(place, number if place == "present" else number - present_count)
        nth = seen.get(family, 0)
        seen[family] = nth + 1
        k = first_k + nth
        text = family.text(k) if family else _ABSENT[nth % len(_ABSENT)].format(k=k)
        rules.append(BenchRule(number, f"bench-{number:04d}", text, place, family, k))
    return tuple(rules)


def _family(place: Place, ordinal: int) -> Family | None:
    match place:
        case "present":
            return PRESENT[ordinal % len(PRESENT)]
        case "any":
            return ANY[ordinal % len(ANY)]
        case "absent":
            return None


def lower_ranks(rule: BenchRule, rules: Sequence[BenchRule]) -> tuple[int, ...]:
    """Return the numbers of the rules whose `when` is met whenever the rule's is, its own first.

    Thresholds are cumulative: a charge above the third threshold is above the first two.
    """
    if not isinstance(rule.family, LargeCharge):
        return (rule.number,)
    return tuple(r.number for r in rules if r.family is rule.family and r.k <= rule.k)[::-1]
