"""Static files: the manifest of the built bundle, and how files are served.

Names of built files hold a hash of their content, so browsers may keep them for ever. Beside each
text file lies a gzipped one; whoever accepts gzip gets that.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

STATIC: Final = Path(__file__).parent / "static"
BUILD: Final = STATIC / "dist"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOR_AN_HOUR: Final = "public, max-age=3600"


class BundleMissing(Exception):
    """The bundle has not been built."""

    def __init__(self) -> None:
        super().__init__(
            "the web bundle is not built: run `npm ci && npm run build` in api/web/frontend"
        )


def read_manifest() -> Mapping[str, str]:
    """Return plain names to hashed ones. Raises BundleMissing."""
    try:
        manifest: dict[str, str] = json.loads((BUILD / "manifest.json").read_text())
    except FileNotFoundError as error:
        raise BundleMissing from error
    return manifest


def serve(request: Request, path: str) -> Response:
    """Answer with a file below static/. Raises 404 for anything else."""
    file = (STATIC / path).resolve()
    if not file.is_relative_to(STATIC) or not file.is_file() or file.suffix == ".gz":
        raise HTTPException(404, "There is no such file.")
    headers = {
        "Cache-Control": _FOR_EVER if file.is_relative_to(BUILD) else _FOR_AN_HOUR,
        "Vary": "Accept-Encoding",
    }
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    packed = file.with_name(f"{file.name}.gz")
    if "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
        headers["Content-Encoding"] = "gzip"
        file = packed
    return FileResponse(file, media_type=media_type, headers=headers)
