"""Samples: traces to try rules on, of the tenant and of the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.client.connection import Connection
from api.samples.schemas import (
    AboutSampleBody,
    AddedSampleBody,
    LibraryBody,
    NewSampleBody,
    SampleBody,
    SamplePageBody,
    SampleWithSpansBody,
)


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of the tenant."""

    _to: Connection

    def each(
        self, *, tag: str | None = None, text: str | None = None, limit: int | None = None
    ) -> Iterator[SampleBody]:
        """Yield the tenant's own samples, newest first, without their spans."""
        return self._to.pages(
            "/samples", SamplePageBody, limit=limit, query={"tag": tag, "q": text}
        )

    def library(self) -> Sequence[SampleBody]:
        """Return the samples that every tenant has."""
        return self._to.ask("GET", "/samples/library", LibraryBody).items

    def get(self, sample_id: str) -> SampleWithSpansBody:
        """Return a sample with its spans."""
        return self._to.ask("GET", "/samples/{sample_id}", SampleWithSpansBody, sample_id=sample_id)

    def add(self, sample: NewSampleBody) -> AddedSampleBody:
        """Keep a sample: of OTLP/JSON, of a stored trace or of that of a signal."""
        return self._to.ask("POST", "/samples", AddedSampleBody, body=sample)

    def change(self, sample_id: str, about: AboutSampleBody) -> SampleWithSpansBody:
        """Change what is said of a sample; its spans stay as they are."""
        return self._to.ask(
            "PUT", "/samples/{sample_id}", SampleWithSpansBody, body=about, sample_id=sample_id
        )

    def delete(self, sample_id: str) -> None:
        """Delete a sample. Raises Conflict for one of the library."""
        self._to.do("DELETE", "/samples/{sample_id}", sample_id=sample_id)
