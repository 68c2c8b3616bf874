"""What the door answers when it does not take a request, on HTTP and on gRPC.

Source: OTLP specification, "OTLP/HTTP Response", "OTLP/gRPC Throttling"; google/rpc/code.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from grpc import StatusCode


@dataclass(frozen=True, slots=True)
class _Answers:
    http: int
    grpc: StatusCode

    @property
    def rpc_code(self) -> int:
        """The number of google.rpc.Code, which is that of the gRPC status."""
        return int(self.grpc.value[0])


class Refusal(Enum):
    """The kinds of refusal. Clients try again only after RATE_LIMITED and UNAVAILABLE."""

    MALFORMED = _Answers(400, StatusCode.INVALID_ARGUMENT)
    UNAUTHENTICATED = _Answers(401, StatusCode.UNAUTHENTICATED)
    FORBIDDEN = _Answers(403, StatusCode.PERMISSION_DENIED)
    NO_SUCH_PATH = _Answers(404, StatusCode.UNIMPLEMENTED)
    WRONG_METHOD = _Answers(405, StatusCode.UNIMPLEMENTED)
    TOO_SLOW = _Answers(408, StatusCode.DEADLINE_EXCEEDED)
    TOO_LARGE = _Answers(413, StatusCode.RESOURCE_EXHAUSTED)
    UNSUPPORTED = _Answers(415, StatusCode.UNIMPLEMENTED)
    RATE_LIMITED = _Answers(429, StatusCode.RESOURCE_EXHAUSTED)
    UNAVAILABLE = _Answers(503, StatusCode.UNAVAILABLE)

    @property
    def label(self) -> str:
        """The name in metrics."""
        return self.name.lower()


class Refused(Exception):
    """The door does not take this request. `message` is for the sender's eyes.

    policies, headers: the limits it is over, and what HTTP is told of them.
    """

    def __init__(
        self,
        kind: Refusal,
        message: str,
        *,
        retry_after_s: float | None = None,
        policies: tuple[str, ...] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s
        self.policies = policies
        self.headers = headers
