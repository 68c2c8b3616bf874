"""Rules to begin with: a text to be changed, with its two tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from api.web.views.rule_form import RuleDraft


@dataclass(frozen=True, slots=True)
class RuleTemplate:
    """A draft, and what it is for in a sentence."""

    what: str
    draft: RuleDraft


_SLOW_QUERY: Final = RuleDraft(
    id="slow-database-queries",
    name="Database queries are fast",
    text="when  { any.where(db.system.name exists) }\n"
    "never { any.where(db.system.name exists and duration > 500ms) }\n",
    tests="""\
- name: fast enough
  trace:
    - {name: SELECT orders, duration: 20ms, attributes: {db.system.name: postgresql}}
  expect: satisfied
- name: too slow
  trace:
    - {name: SELECT orders, duration: 900ms, attributes: {db.system.name: postgresql}}
  expect: violated
""",
    severity="medium",
    state="shadow",
)
_FAILED_PAYMENT: Final = RuleDraft(
    id="failed-payments-are-answered",
    name="A failed payment is taken back or tried again",
    text="when   { payment.charge.where(status == error) as failed }\n"
    "always { payment.refund after failed within 5m or payment.charge.where(status != error) "
    "after failed within 5m }\n",
    tests="""\
- name: tried again
  trace:
    - {name: payment.charge, id: c, status: error}
    - {name: payment.charge, start: 2s, status: ok}
  expect: satisfied
- name: nothing happened
  trace:
    - {name: payment.charge, status: error}
  expect: violated
""",
    severity="high",
    state="shadow",
)
_ERRORS: Final = RuleDraft(
    id="few-errors-in-a-request",
    name="A request has few errors",
    text="when  { trace.spans > 0 }\nnever { count(any.where(status == error)) > 5 }\n",
    tests="""\
- name: a single error
  trace:
    - {name: GET /, id: r}
    - {name: call, parent: r, status: error}
  expect: satisfied
- name: errors everywhere
  trace:
    - {name: a, status: error}
    - {name: b, status: error}
    - {name: c, status: error}
    - {name: d, status: error}
    - {name: e, status: error}
    - {name: f, status: error}
  expect: violated
""",
    severity="medium",
    state="shadow",
)
_PII: Final = RuleDraft(
    id="reads-of-personal-data-are-audited",
    name="Reads of personal data are audited",
    text="when   { db.query.where(contains_pii == true) as q }\n"
    "always { audit.log.where(user.id == q.user.id) after q within 5s }\n",
    tests="""\
- name: audited
  trace:
    - {name: db.query, id: q, attributes: {contains_pii: true, user.id: u1}}
    - {name: audit.log, start: 200ms, attributes: {user.id: u1}}
  expect: satisfied
- name: not audited
  trace:
    - {name: db.query, attributes: {contains_pii: true, user.id: u1}}
  expect: violated
""",
    severity="high",
    state="shadow",
)
TEMPLATES: Final[Mapping[str, RuleTemplate]] = MappingProxyType(
    {
        "slow-query": RuleTemplate("No database query takes longer than a limit.", _SLOW_QUERY),
        "failed-payment": RuleTemplate("What must follow when something fails.", _FAILED_PAYMENT),
        "error-rate": RuleTemplate("At most so many errors in one trace.", _ERRORS),
        "pii-audit": RuleTemplate(
            "Something else must happen for the same user, within some time.", _PII
        ),
    }
)
