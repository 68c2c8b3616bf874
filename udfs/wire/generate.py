"""Generate `betrace_pb2.py` and `otlp_lazy_pb2.py` from the .proto files beside this one.

Run `python -m udfs.wire.generate`. The result is committed, so that a Flink cluster needs no
compiler; a test compares it with a fresh one.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def generate(out: Path) -> None:
    """Write the generated modules of every .proto in this folder below out."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    for source in sorted(HERE.glob("*.proto")):
        status = protoc.main(
            [
                "protoc",
                f"-I{HERE}",
                f"--python_out={out}",
                f"--pyi_out={out}",
                str(source),
            ]
        )
        if status:
            raise RuntimeError(f"protoc failed on {source.name} with status {status}")


if __name__ == "__main__":
    generate(HERE)
