"""Large JSON answers: written without spaces, and packed for whoever takes them packed.

Only for answers whose content nobody else can choose parts of: packing tells lengths.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response

MEDIA_TYPE: Final = "application/json"
_SMALL_BYTES: Final = 1_024
_LEVEL: Final = 5


def compact_json(request: Request, body: Mapping[str, Any]) -> Response:
    """Return a body as JSON, as gzip if the request accepts that and it is worth it."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Vary": "Accept-Encoding"}
    accepts = "gzip" in request.headers.get("accept-encoding", "")
    if accepts and len(content) >= _SMALL_BYTES:
        content = gzip.compress(content, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=MEDIA_TYPE, headers=headers)
