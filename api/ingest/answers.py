"""Answers of the door in OTLP's own messages, in the encoding of the request.

Source: opentelemetry-proto collector/trace/v1 (ExportTraceServiceResponse), google/rpc/status.proto
and error_details.proto (RetryInfo); OTLP specification, "OTLP/HTTP Response".
"""

from __future__ import annotations

import json

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from api.ingest.door import Encoding, Taken
from api.ingest.refusals import Refused
from api.ingest.rejects import describe

CONTENT_TYPES = {
    Encoding.PROTOBUF: b"application/x-protobuf",
    Encoding.JSON: b"application/json",
}


def success(taken: Taken, encoding: Encoding) -> bytes:
    """Serialize an ExportTraceServiceResponse; with partial_success when spans were refused."""
    if not taken.rejects:
        return b"{}" if encoding is Encoding.JSON else b""
    message = describe(taken.rejects)
    if encoding is Encoding.JSON:
        partial = {"rejectedSpans": str(taken.rejected), "errorMessage": message}
        return json.dumps({"partialSuccess": partial}).encode()
    response = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(
            rejected_spans=taken.rejected, error_message=message
        )
    )
    return bytes(response.SerializeToString())


def failure(refused: Refused, encoding: Encoding) -> bytes:
    """Serialize a google.rpc.Status for HTTP; when to try again stands in the headers."""
    code = refused.kind.value.rpc_code
    if encoding is Encoding.JSON:
        return json.dumps({"code": code, "message": refused.message}).encode()
    return bytes(Status(code=code, message=refused.message).SerializeToString())


def failure_details(refused: Refused) -> bytes:
    """Serialize the google.rpc.Status of a gRPC answer; RetryInfo says when to send again."""
    status = Status(code=refused.kind.value.rpc_code, message=refused.message)
    if refused.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(max(int(refused.retry_after_s * 1000), 1))
        detail = Any()
        detail.Pack(RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return bytes(status.SerializeToString())
