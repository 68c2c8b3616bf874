"""Compiles the hot parts of the engine into this Python environment (see `udfs.native`).

    python -m deploy.native

Exit code 0 also where there is no C compiler: the sources run as they are then, only slower.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from Cython.Build import cythonize
from mypyc.build import mypycify
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

from udfs.native import COMPILED_ENGINE, COMPILED_READING, ENGINE, HASH_NAME, READING, source_hash

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "udfs"


def compile_reading(target: Path, *, scratch: Path) -> None:
    """Compile the pass over records and put it into a folder."""
    source = scratch / f"{COMPILED_READING}.py"
    content = _read(READING)
    source.write_bytes(content + _named((content,)))
    options = ["-O3", "-fno-strict-aliasing"]
    extension = Extension(COMPILED_READING, [str(source)], extra_compile_args=options)
    _build(cythonize([extension], build_dir=str(scratch), quiet=True), target, scratch=scratch)


def compile_engine(target: Path, *, scratch: Path) -> None:
    """Compile the life of traces, as a package beside the sources', and put it into a folder."""
    package = scratch / COMPILED_ENGINE
    package.mkdir()
    contents = tuple(map(_read, ENGINE))
    (package / "__init__.py").write_bytes(_named(contents))
    for name, content in zip(ENGINE, contents, strict=True):
        for other in ENGINE:
            old, new = (f"from {p}.{other} import" for p in ("udfs", COMPILED_ENGINE))
            content = content.replace(old.encode(), new.encode())
        (package / f"{name}.py").write_bytes(content)
    os.environ["MYPYPATH"] = os.pathsep.join((str(scratch), str(ROOT)))
    before = Path.cwd()
    os.chdir(scratch)  # names of modules are paths from here
    try:
        files = [f"{COMPILED_ENGINE}/{name}.py" for name in ENGINE]
        options = ["--ignore-missing-imports", "--follow-imports=silent"]
        modules = mypycify([*options, *files], opt_level="3", debug_level="0")
        shutil.rmtree(target / COMPILED_ENGINE, ignore_errors=True)
        _build(modules, target, scratch=scratch)
    finally:
        os.chdir(before)
    shutil.copytree(package, target / COMPILED_ENGINE, dirs_exist_ok=True)


def _read(name: str) -> bytes:
    return (SOURCES / f"{name}.py").read_bytes()


def _named(contents: tuple[bytes, ...]) -> bytes:
    return f'\n{HASH_NAME} = "{source_hash(contents)}"\n'.encode()


def _build(modules: Sequence[Any], target: Path, *, scratch: Path) -> None:
    command = build_ext(Distribution({"ext_modules": list(modules)}))
    command.build_lib = str(target)
    command.build_temp = str(scratch)
    command.parallel = os.cpu_count() or 1
    command.ensure_finalized()
    command.run()


def main() -> int:
    """Compile if possible, and say what was done."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if which(compiler) is None or not headers.exists():
        print("no C compiler or no headers of Python: the engine is run by the interpreter")
        return 0
    target = Path(sysconfig.get_path("purelib"))
    for compiled in (compile_reading, compile_engine):
        with TemporaryDirectory(prefix="betrace-native-") as scratch:
            compiled(target, scratch=Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
