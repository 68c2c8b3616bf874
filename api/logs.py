"""Structured logs: one JSON object a line on standard error, without personal data and secrets.

What errors of servers and libraries quote may be a tenant's: every text of a line but those that
are ours goes through the defaults of redaction, without a key.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from functools import cache
from typing import Any, Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Without the values of local variables: those are tenants' data and secrets."""

_OURS: Final = frozenset(
    ("level", "logger", "timestamp", "request_id", "tenant", "method", "status")
)


def without_secrets(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take personal data and secrets out of what is about to be written."""
    return {name: value if name in _OURS else _redacted(value) for name, value in line.items()}


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return _redactor().text(value)
        case dict():
            return {name: _redacted(item) for name, item in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
    return value


@cache
def _redactor() -> Any:
    # Only here: its patterns take some tens of ms, and commands that log nothing do without.
    from udfs.redaction.policy import Policy
    from udfs.redaction.redactor import Redactor

    return Redactor(Policy(), None)


def configure_logging(level: str) -> None:
    """Send structlog and the standard library's loggers to standard error as JSON lines.

    level: debug, info, warning or error.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _TRACEBACKS,
        without_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = name != "uvicorn.access"
    logging.getLogger("kafka").setLevel(logging.WARNING)
    logging.getLogger("yoyo").setLevel(logging.WARNING)
