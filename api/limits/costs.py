"""What requests cost that are dearer than others, in requests.

A reading of a page or a list costs one. Here stands what keeps a core or the database busy for much
longer than that, and what is worth trying only to whoever guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

USUAL: Final = 1
REFUSED_CREDENTIAL: Final = 20
"""To the address: a look into the database for nothing."""
_RULE_CHECK: Final = 2
_RULE_TRIAL: Final = 10
_CASES: Final = 20
_PROOF: Final = 20
"""Of an exception: two hundred signals with their traces, and the cases of the rule."""
_PROOF_OF_CASES: Final = 10
_SAMPLE: Final = 5
"""Up to 2,000 spans redacted and kept."""
_RULE_TRY: Final = 5
"""A draft on a few thousand spans at most: people try at every pause while they write."""
_CALL_OUTSIDE: Final = 10
_PREVIEW: Final = 20
"""Of redaction: a core for a second."""
_SPAN_SEARCH: Final = 3
_TRACE_SEARCH: Final = 2
_COMPARISON: Final = 5
_PASSWORD: Final = 20
_EXPORT: Final = 50
_BACKTEST: Final = 50
_MATRIX: Final = 5
_REPORT: Final = 20
_VERIFICATION: Final = 20
"""Of a thousand records: a core for some tenths of a second."""
_BULK: Final = 10
"""Up to two thousand signals in one transaction."""

COSTS: Final[Mapping[tuple[str, str], int]] = MappingProxyType(
    {
        ("POST", "/api/v1/rules/validate"): _RULE_CHECK,
        ("POST", "/rules/check"): _RULE_CHECK,
        ("POST", "/rules/{rule_id}/backtest/draft"): _RULE_CHECK,
        ("POST", "/rules/new/backtest/draft"): _RULE_CHECK,
        ("POST", "/api/v1/rules/editor/marks"): _RULE_CHECK,
        ("POST", "/api/v1/rules/trial"): _RULE_TRIAL,
        ("POST", "/samples/{sample_id}/trial"): _RULE_TRIAL,
        ("POST", "/api/v1/rules/{rule_id}/test-runs"): _CASES,
        ("POST", "/api/v1/test-runs"): _CASES,
        ("POST", "/rules/{rule_id}/cases/run"): _CASES,
        ("POST", "/test-runs"): _CASES,
        ("POST", "/api/v1/rules/{rule_id}/exceptions/trial"): _PROOF,
        ("POST", "/api/v1/rules/{rule_id}/exceptions"): _PROOF_OF_CASES,
        ("POST", "/signals/{signal_id}/exception"): _PROOF,
        ("POST", "/api/v1/samples"): _SAMPLE,
        ("POST", "/samples"): _SAMPLE,
        ("POST", "/api/v1/rules/trial/stored"): _RULE_TRY,
        ("POST", "/rules/try"): _RULE_TRY,
        ("POST", "/api/v1/tenant/redaction/preview"): _PREVIEW,
        ("POST", "/settings/redaction/preview"): _PREVIEW,
        ("GET", "/api/v1/tenant/redaction/suggestions"): _PREVIEW,
        ("PUT", "/api/v1/tenant/redaction"): _RULE_TRIAL,
        ("POST", "/settings/redaction"): _RULE_TRIAL,
        ("GET", "/api/v1/traces"): _TRACE_SEARCH,
        ("GET", "/traces"): _TRACE_SEARCH,
        ("GET", "/api/v1/traces/{trace_id}/rows/search"): _SPAN_SEARCH,
        ("GET", "/api/v1/signals/{signal_id}/rows/search"): _SPAN_SEARCH,
        ("GET", "/api/v1/signals/{signal_id}/comparison"): _COMPARISON,
        ("GET", "/signals/{signal_id}/comparison"): _COMPARISON,
        ("POST", "/api/v1/signals/bulk"): _BULK,
        ("POST", "/api/v1/signals/bulk/{bulk_id}/undo"): _BULK,
        ("POST", "/signals/bulk"): _BULK,
        ("POST", "/signals/bulk/{bulk_id}/undo"): _BULK,
        ("POST", "/api/v1/backtests"): _BACKTEST,
        ("POST", "/rules/{rule_id}/backtest"): _BACKTEST,
        ("POST", "/rules/new/backtest"): _BACKTEST,
        ("GET", "/api/v1/audit/export"): _EXPORT,
        ("GET", "/audit/export"): _EXPORT,
        ("GET", "/evidence/export"): _EXPORT,
        ("GET", "/evidence/pack"): _EXPORT,
        ("GET", "/evidence/oscal"): _MATRIX,
        ("GET", "/evidence/report"): _REPORT,
        ("GET", "/api/v1/evidence/report"): _REPORT,
        ("GET", "/evidence/controls"): _MATRIX,
        ("GET", "/evidence/control"): _MATRIX,
        ("GET", "/api/v1/evidence/export"): _EXPORT,
        ("GET", "/api/v1/evidence/oscal"): _MATRIX,
        ("GET", "/api/v1/evidence/controls"): _MATRIX,
        ("GET", "/api/v1/evidence/controls/{control_id}"): _MATRIX,
        ("GET", "/api/v1/tenant/export"): _EXPORT,
        ("GET", "/settings/data/export"): _EXPORT,
        ("POST", "/api/v1/evidence/export"): _EXPORT,
        ("POST", "/api/v1/evidence/verifications"): _VERIFICATION,
        ("POST", "/evidence/verifications"): _VERIFICATION,
        ("POST", "/api/v1/evidence/targets/{target_id}/send"): _CALL_OUTSIDE,
        ("POST", "/settings/evidence/{target_id}/send"): _CALL_OUTSIDE,
        ("POST", "/api/v1/session"): _PASSWORD,
        ("POST", "/sign-in"): _PASSWORD,
        ("POST", "/sign-in/code"): _PASSWORD,
        ("POST", "/operator/sign-in"): _PASSWORD,
        ("POST", "/reset-password"): _PASSWORD,
        ("PUT", "/api/v1/account/password"): _PASSWORD,
        ("POST", "/settings/account/password"): _PASSWORD,
        ("POST", "/api/v1/account/second-factor"): _PASSWORD,
        ("POST", "/settings/account/second-factor"): _PASSWORD,
        ("POST", "/api/v1/account/second-factor/off"): _PASSWORD,
        ("POST", "/settings/account/second-factor/off"): _PASSWORD,
        ("POST", "/api/v1/account/second-factor/recovery-codes"): _PASSWORD,
        ("POST", "/settings/account/second-factor/recovery-codes"): _PASSWORD,
    }
)
"""By method and path of the route; a test asks whether each is one."""

EXEMPT: Final = frozenset(
    {
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/static/{path:path}"),
        ("GET", "/api/v1/openapi.json"),
    }
)
"""What nobody is counted for: it must answer when all else does not, or costs next to nothing."""


def cost_of(method: str, route: str) -> int:
    """Return what a request costs; 0: it is not counted."""
    if (method, route) in EXEMPT:
        return 0
    return COSTS.get((method, route), USUAL)
