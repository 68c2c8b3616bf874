"""`betrace api`: the REST API and the web pages."""

from __future__ import annotations

import typer
import uvicorn

from api.logs import configure_logging
from api.main import create_app
from api.settings import load_settings
from udfs.garbage import spare_the_living

_GRACE_S = 5


def run() -> None:
    """Serve the REST API and the web pages on BETRACE_HTTP_HOST and BETRACE_HTTP_PORT."""
    settings = load_settings()
    configure_logging(settings.log_level)
    app = create_app(settings)
    spare_the_living()
    typer.echo(f"listening on http://{settings.http_host}:{settings.http_port}", err=True)
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # ours are read by api.auth.addresses, from trusted proxies alone
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=64 * 1024,
    )
