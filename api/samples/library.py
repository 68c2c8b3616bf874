"""The library of samples: data in library.yaml, the same for every tenant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from api.samples.model import Sample


@cache
def library() -> Mapping[str, Sample]:
    """Return the samples of the library by id, in their order."""
    text = (files("api.samples") / "library.yaml").read_text(encoding="utf-8")
    found = (_sample(fields) for fields in yaml.safe_load(text)["samples"])
    return MappingProxyType({sample.id: sample for sample in found})


def _sample(fields: Mapping[str, Any]) -> Sample:
    spans = fields["trace"]
    return Sample(
        id=fields["id"],
        name=fields["name"],
        description=fields["description"],
        tags=tuple(fields["tags"]),
        span_count=len(spans),
        trace_count=len({span.get("trace", "") for span in spans}),
        services=tuple(sorted({span["service"] for span in spans})),
        rule=fields["rule"],
        expect=fields["expect"],
        spans=tuple(spans),
    )
