"""What a rule is judged on: the spans of a trace, and which of them the bindings mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from dsl import Span
from tests.support.naive.truth import Truth


class Unseen:
    """A span of an open trace that has not come yet. Nothing about it is known."""


UNSEEN = Unseen()
Bound: TypeAlias = Span | Unseen


@dataclass(frozen=True, slots=True)
class Lost:
    """A value that was there and is gone, or that is not known yet."""

    why: str


@dataclass(frozen=True, slots=True)
class World:
    """A trace under judgement. complete: a span that was not seen is absent.

    external_roots: it may begin outside, and what stands for its root then is known.
    """

    spans: tuple[Span, ...]
    complete: bool
    external_roots: bool = False
    bound: Mapping[str, Bound] = field(default_factory=dict)

    def binding(self, more: Mapping[str, Bound]) -> World:
        """Return the same trace with more bindings."""
        return replace(self, bound={**self.bound, **more})

    @property
    def unseen(self) -> list[Truth]:
        """What spans that were not seen say to any question about them."""
        return [] if self.complete else [Truth(None, frozenset({"still_open"}))]

    @property
    def root(self) -> Span | None:
        """Of the spans without a parent the first to start; ties by what tells spans apart."""
        roots = [span for span in self.spans if not any(span.parent_span_id)]
        if not roots:
            return self.called
        return min(roots, key=lambda s: (s.start_ns, s.span_id, s.name, s.service))

    @property
    def called(self) -> Span | None:
        """The only span whose parent is remote and did not come; where a root came, nobody."""
        found = []
        for span in self.spans:
            if not any(span.parent_span_id):
                return None
            remote = span.parent_is_remote
            if remote is None:
                remote = span.kind == "server" or span.kind == "consumer"
            came = any(other.span_id == span.parent_span_id for other in self.spans)
            if remote and not came:
                found.append(span)
        return found[0] if self.external_roots and len(found) == 1 else None

    def is_outside(self, span_id: bytes) -> bool:
        """Tell whether an id is that of the caller of what stands for the root."""
        return self.called is not None and self.called.parent_span_id == span_id


def distinct(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return spans without repetitions: of the same id, kind, name and start the first."""
    kept: dict[tuple[bytes, str, str, int], Span] = {}
    for span in spans:
        kept.setdefault((span.span_id, span.kind, span.name, span.start_ns), span)
    return tuple(kept.values())
