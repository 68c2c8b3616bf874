"""Samples as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from api.samples.model import DESCRIPTION_MAX, NAME_MAX, TAG_MAX, TAGS_MAX
from api.samples.service import About

_WITHOUT_NUL = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX, pattern=_WITHOUT_NUL)]
Description = Annotated[str, StringConstraints(max_length=DESCRIPTION_MAX, pattern=_WITHOUT_NUL)]
Tags = Annotated[
    list[Annotated[str, StringConstraints(max_length=TAG_MAX, pattern=_WITHOUT_NUL)]],
    Field(max_length=TAGS_MAX),
]
_OTLP_EXAMPLE: Final[JsonDict] = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "payments"}}]
            },
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "5b8aa5a2d2c872e8321cf37308d69df2",
                            "spanId": "051581bf3cb55c13",
                            "name": "payment.charge",
                            "startTimeUnixNano": "1795780800000000000",
                            "endTimeUnixNano": "1795780800190000000",
                        }
                    ]
                }
            ],
        }
    ]
}


class NewSampleBody(BaseModel):
    """A sample to be kept: an OTLP/JSON document, a stored trace, or the trace of a signal."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Payment without a check", "otlp": _OTLP_EXAMPLE}]
        },
    )
    name: Name
    description: Description = ""
    tags: Tags = []
    otlp: dict[str, Any] | None = Field(None, description="An OTLP/JSON ExportTraceServiceRequest.")
    trace_id: str | None = Field(None, max_length=64)
    signal_id: str | None = Field(None, max_length=64)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(one is not None for one in (self.otlp, self.trace_id, self.signal_id)) != 1:
            raise ValueError("give one of otlp, trace_id and signal_id")
        return self

    def about(self) -> About:
        """Return what is said of it."""
        return About(name=self.name, description=self.description, tags=tuple(self.tags))


class AboutSampleBody(BaseModel):
    """What is said of a sample, all of it. version: of the sample that is to be changed."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    description: Description = ""
    tags: Tags = []
    version: int | None = Field(None, ge=1)

    def about(self) -> About:
        """Return what is said of it."""
        return About(name=self.name, description=self.description, tags=tuple(self.tags))


class SampleBody(BaseModel):
    """A sample.

    id: of the library a name in words, of a tenant's own a UUID. rule, expect: a rule that says
    something of it, and what; only in the library. created_at: null for the library.
    redaction_version: of the policy by which it was redacted.
    """

    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    description: str
    tags: list[str]
    span_count: int
    trace_count: int
    services: list[str]
    rule: str
    expect: str
    redaction_version: int
    created_by: str
    created_at: datetime | None
    version: int


class SampleWithSpansBody(SampleBody):
    """A sample with its spans, as `trace:` in the tests of rules; times from the first start on."""

    spans: list[dict[str, Any]]


class AddedSampleBody(SampleWithSpansBody):
    """A sample that was taken in. replaced: how many values redaction replaced in it."""

    replaced: int = 0


class SamplePageBody(BaseModel):
    """A page of the tenant's own samples, newest first."""

    model_config = ConfigDict(from_attributes=True)
    items: list[SampleBody]
    next_cursor: str | None


class LibraryBody(BaseModel):
    """The samples that every tenant has."""

    items: list[SampleBody]
