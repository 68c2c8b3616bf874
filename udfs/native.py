"""Chooses how `udfs.reading` runs: compiled, if that was made from this very source, or as it is.

The compiled module `betrace_native` belongs to the Python environment (`make env` builds it where
there is a C compiler), the sources travel with the job; the hash keeps the two from parting.
"""

from __future__ import annotations

from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from udfs import reading as interpreted

COMPILED = "betrace_native"
HASH_NAME = "SOURCE_HASH"
"""What the compiled module calls the hash of the source that it was made from."""


def source_hash(source: bytes) -> str:
    """Return what names a source."""
    return sha256(source).hexdigest()


def reading_module() -> ModuleType:
    """Return the module to read records with."""
    if find_spec(COMPILED) is None:
        return interpreted
    compiled = import_module(COMPILED)
    return compiled if getattr(compiled, HASH_NAME, "") == _own_hash() else interpreted


def is_compiled() -> bool:
    """Tell whether records are read by the compiled module."""
    return reading_module() is not interpreted


def _own_hash() -> str:
    loader = interpreted.__spec__.loader if interpreted.__spec__ else None
    if loader is None or not hasattr(loader, "get_data") or interpreted.__file__ is None:
        return ""
    return source_hash(loader.get_data(interpreted.__file__))
