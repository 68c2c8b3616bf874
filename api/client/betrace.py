"""A tenant as a script sees it: everything of the API in groups, and one call for the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from api.client.connection import TRIES, Body, Connection, Query

if TYPE_CHECKING:
    from api.client.audit import Audit
    from api.client.backtests import Backtests
    from api.client.cases import Cases
    from api.client.dead_letters import DeadLetters
    from api.client.evidence import Evidence
    from api.client.keys import Keys
    from api.client.members import Invitations, Members
    from api.client.notices import Notices
    from api.client.rules import Rules
    from api.client.samples import Samples
    from api.client.signals import Signals
    from api.client.tenant import Redaction, Tenant
    from api.client.traces import Traces

T = TypeVar("T")


class BeTrace:
    """A tenant, by one of its API keys. A context manager; to be used by one thread at a time.

    Everything raises `ApiError`, of the kind that says what can be done about it. The modules of
    groups are loaded with their first use: the models of answers bring much of the server along.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        """url, api_key: without, those of BETRACE_URL and BETRACE_API_KEY.

        tries: of a request, where to send it again can do no harm. transport: in place of the
        network's. rest: waits for so many seconds. Raises ValueError if one is nowhere.
        """
        self._to = Connection(
            url or _variable("BETRACE_URL"),
            api_key or _variable("BETRACE_API_KEY"),
            tries=tries,
            transport=transport,
            rest=rest,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open to the server."""
        self._to.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        query: Query | None = None,
        body: Body | None = None,
        if_version: int | None = None,
    ) -> T:
        """Ask for anything below /api/v1, and read the answer as what it is.

        answer: a model, or `dict[str, Any]` for JSON as it comes. body: JSON, or YAML if it is a
        text. if_version: which one is to be changed (If-Match).
        """
        return self._to.ask(method, path, answer, query=query, body=body, if_version=if_version)

    @cached_property
    def rules(self) -> Rules:
        """Rules, their versions, and trying them."""
        from api.client.rules import Rules

        return Rules(self._to)

    @cached_property
    def cases(self) -> Cases:
        """What rules are held to, and runs of that."""
        from api.client.cases import Cases

        return Cases(self._to)

    @cached_property
    def backtests(self) -> Backtests:
        """What rules would have said of recorded traces."""
        from api.client.backtests import Backtests

        return Backtests(self._to)

    @cached_property
    def signals(self) -> Signals:
        """Signals: lists, counts, changes, notes, and live."""
        from api.client.signals import Signals

        return Signals(self._to)

    @cached_property
    def traces(self) -> Traces:
        """Stored traces."""
        from api.client.traces import Traces

        return Traces(self._to)

    @cached_property
    def samples(self) -> Samples:
        """Traces to try rules on."""
        from api.client.samples import Samples

        return Samples(self._to)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """What could not be used."""
        from api.client.dead_letters import DeadLetters

        return DeadLetters(self._to)

    @cached_property
    def notices(self) -> Notices:
        """What BeTrace did or found."""
        from api.client.notices import Notices

        return Notices(self._to)

    @cached_property
    def evidence(self) -> Evidence:
        """Sealed records, controls, the log with its proofs, and packs."""
        from api.client.evidence import Evidence

        return Evidence(self._to)

    @cached_property
    def audit(self) -> Audit:
        """Who did what, and who was refused."""
        from api.client.audit import Audit

        return Audit(self._to)

    @cached_property
    def tenant(self) -> Tenant:
        """The tenant itself: settings, usage, for how long things are kept, all of it in a file."""
        from api.client.tenant import Tenant

        return Tenant(self._to)

    @cached_property
    def redaction(self) -> Redaction:
        """What is taken out of spans."""
        from api.client.tenant import Redaction

        return Redaction(self._to)

    @cached_property
    def members(self) -> Members:
        """People of the tenant."""
        from api.client.members import Members

        return Members(self._to)

    @cached_property
    def invitations(self) -> Invitations:
        """People who are asked in."""
        from api.client.members import Invitations

        return Invitations(self._to)

    @cached_property
    def keys(self) -> Keys:
        """API keys."""
        from api.client.keys import Keys

        return Keys(self._to)


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ValueError(f"{name} is not set")
    return value
