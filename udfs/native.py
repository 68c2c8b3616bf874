"""Chooses how the hot parts of the engine run: compiled, or as they are.

Two things can be compiled (`deploy.native`, at `make env`, where there is a C compiler): the pass
over records (`udfs.reading`, by Cython) and the life of traces (the modules of ENGINE, by mypyc).
What is compiled belongs to the Python environment, the sources travel with the job: the compiled
ones are taken only if they were made from these very sources.
"""

from __future__ import annotations

from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

READING = "reading"
ENGINE = (
    "accounts",
    "closed",
    "external_root",
    "facts",
    "folds",
    "handing",
    "kept_trace",
    "kept_values",
    "lanes",
    "life",
    "members",
    "ruleset",
    "signals",
    "trace_state",
)
COMPILED_READING = "betrace_native"
COMPILED_ENGINE = "betrace_engine"
HASH_NAME = "SOURCE_HASH"
"""What a compiled module calls the hash of the sources that it was made from."""


def reading_module() -> ModuleType:
    """Return the module to read records with: `udfs.reading`, compiled if possible."""
    if _is_made_from(COMPILED_READING, (READING,)):
        return import_module(COMPILED_READING)
    return import_module(f"udfs.{READING}")


def engine_module(name: str) -> ModuleType:
    """Return one of the modules of ENGINE, compiled if possible. They go together."""
    compiled = _is_made_from(COMPILED_ENGINE, ENGINE)
    return import_module(f"{COMPILED_ENGINE if compiled else 'udfs'}.{name}")


def is_compiled() -> bool:
    """Tell whether both run compiled here."""
    return _is_made_from(COMPILED_READING, (READING,)) and _is_made_from(COMPILED_ENGINE, ENGINE)


def source_hash(sources: tuple[bytes, ...]) -> str:
    """Return what names some sources."""
    digest = sha256()
    for source in sources:
        digest.update(len(source).to_bytes(8, "big"))
        digest.update(source)
    return digest.hexdigest()


def _is_made_from(compiled: str, names: tuple[str, ...]) -> bool:
    if find_spec(compiled) is None:
        return False
    own = source_hash(tuple(map(_source_of, names)))
    return getattr(import_module(compiled), HASH_NAME, "") == own


def _source_of(name: str) -> bytes:
    """Return the source of a module of this package, also from within a zip file."""
    spec = find_spec(f"udfs.{name}")
    loader = spec.loader if spec else None
    if spec is None or spec.origin is None or not hasattr(loader, "get_data"):
        return b""
    return loader.get_data(spec.origin)  # type: ignore[no-any-return, union-attr]
