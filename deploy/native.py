"""Compiles `udfs.reading` into this Python environment, as `betrace_native`.

    python -m deploy.native

Exit code 0 also where there is no C compiler: the source runs as it is then, only slower.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from Cython.Build import cythonize
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

from udfs.native import COMPILED, HASH_NAME, source_hash

SOURCE = Path(__file__).resolve().parent.parent / "udfs" / "reading.py"
OPTIMISED = ["-O3", "-fno-strict-aliasing"]


def compile_into(target: Path) -> Path:
    """Compile the source and put the module into a folder; returns where it is."""
    with TemporaryDirectory(prefix="betrace-native-") as folder:
        source = Path(folder) / f"{COMPILED}.py"
        content = SOURCE.read_bytes()
        named = f'\n{HASH_NAME} = "{source_hash(content)}"\n'
        source.write_bytes(content + named.encode())
        extension = Extension(COMPILED, [str(source)], extra_compile_args=OPTIMISED)
        modules = cythonize([extension], build_dir=folder, quiet=True)
        command = build_ext(Distribution({"ext_modules": modules}))
        command.build_lib = str(target)
        command.build_temp = folder
        command.ensure_finalized()
        command.run()
        return target / Path(command.get_ext_filename(COMPILED))  # type: ignore[no-untyped-call]


def main() -> int:
    """Compile if possible, and say what was done."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if which(compiler) is None or not headers.exists():
        print("no C compiler or no headers of Python: records are read by the interpreter")
        return 0
    print(compile_into(Path(sysconfig.get_path("purelib"))))
    importlib.invalidate_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
