"""The stored trace of a signal, as its waterfall draws it."""

from __future__ import annotations

from api.auth.principal import TenantScope
from api.database import Pool
from api.signals.drawing import draw
from api.signals.service import trace_of_signal
from api.traces.layouts import Layouts
from api.traces.rows import Drawn


async def drawn_trace(
    pool: Pool, layouts: Layouts, scope: TenantScope, signal_id: str
) -> tuple[str, Drawn]:
    """Return the id of a signal's trace, and the trace with what the signal says of it.

    Raises ApiError 404 for no such signal, one without a trace, or one whose trace is not copied.
    """
    trace_id, explanation, rule_text = await trace_of_signal(pool, scope, signal_id)
    layout = await layouts.layout(scope, trace_id)
    return trace_id, draw(layout, explanation, rule_text)
