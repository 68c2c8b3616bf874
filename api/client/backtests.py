"""Backtests: what rules would have said of recorded traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from api.backtests.schemas import BacktestBody, BacktestPageBody, ResultBody, ResultPageBody
from api.client.connection import Connection

_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Backtests:
    """The backtests of the tenant; they are kept for 30 days."""

    _to: Connection

    def start(
        self,
        rules: Sequence[Mapping[str, Any]],
        *,
        begin: str = "1h",
        end: str = "now",
        against: Literal["live", "nothing"] | Sequence[Mapping[str, Any]] = "live",
    ) -> BacktestBody:
        """Queue a backtest. Raises Conflict while another one of the tenant is not over.

        rules: rule objects; `{"id": …}` alone is the saved rule. begin, end: a time, or how long
        ago. against: what their verdicts are compared with.
        """
        return self._to.ask(
            "POST",
            "/backtests",
            BacktestBody,
            body={"rules": list(rules), "from": begin, "to": end, "against": against},
        )

    def each(
        self, *, rule_id: str | None = None, limit: int | None = None
    ) -> Iterator[BacktestBody]:
        """Yield backtests, newest first."""
        return self._to.pages(
            "/backtests", BacktestPageBody, limit=limit, query={"rule_id": rule_id}
        )

    def get(self, backtest_id: UUID) -> BacktestBody:
        """Return a backtest: its progress, and the counts of what is done."""
        return self._to.ask(
            "GET", "/backtests/{backtest_id}", BacktestBody, backtest_id=backtest_id
        )

    def progress(self, backtest_id: UUID) -> Iterator[BacktestBody]:
        """Yield the backtest as it goes on, once a second, and as the last one when it is over."""
        while True:
            backtest = self.get(backtest_id)
            yield backtest
            if backtest.state.is_over:
                return
            self._to.rest(_LOOK_EVERY_S)

    def wait(self, backtest_id: UUID) -> BacktestBody:
        """Return the backtest once it is over: done, failed or cancelled."""
        *_, last = self.progress(backtest_id)
        return last

    def cancel(self, backtest_id: UUID) -> BacktestBody:
        """Call a backtest off; what is done stays readable."""
        return self._to.ask(
            "POST", "/backtests/{backtest_id}/cancel", BacktestBody, backtest_id=backtest_id
        )

    def results(
        self,
        backtest_id: UUID,
        *,
        rule_id: str | None = None,
        was: str | None = None,
        now: str | None = None,
        changed: bool | None = None,
        explain: bool = False,
        limit: int | None = None,
    ) -> Iterator[ResultBody]:
        """Yield single traces: the first ones of every kind of change. was, now: verdicts."""
        query = {
            "rule_id": rule_id,
            "was": was,
            "now": now,
            "changed": changed,
            "explain": explain,
        }
        return self._to.pages(
            "/backtests/{backtest_id}/results",
            ResultPageBody,
            limit=limit,
            query=query,
            backtest_id=backtest_id,
        )
