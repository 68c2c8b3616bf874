"""The application: REST under /api/v1, health, and the web pages where they are installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI

from api.anchors.routes import router as anchors_router
from api.audit.refusals import note_refusal
from api.audit.routes import router as audit_router
from api.auth.access import refuse_undeclared
from api.auth.account_routes import router as account_router
from api.auth.routes import router as session_router
from api.backtests.routes import router as backtests_router
from api.bodies import BodyGuard
from api.cases.routes import router as cases_router
from api.dead_letters.routes import router as dead_letters_router
from api.evidence.log_routes import router as evidence_log_router
from api.evidence.search_routes import controls_router
from api.evidence.search_routes import router as evidence_router
from api.evidence.verification_routes import router as verifications_router
from api.exceptions.routes import router as exceptions_router
from api.exports.routes import router as exports_router
from api.health.routes import condition_router
from api.health.routes import router as health_router
from api.hosts import HostCheck, allow_origins
from api.invitations.routes import router as invitations_router
from api.keys.routes import router as keys_router
from api.limits.settings import RequestLimits
from api.members.routes import router as members_router
from api.middleware import RequestContext
from api.notices.routes import router as notices_router
from api.openapi import describe
from api.operators.routes import router as operator_router
from api.problems import install_handlers
from api.redaction.routes import router as redaction_router
from api.retention.routes import router as retention_router
from api.rules.editor_routes import router as rules_editor_router
from api.rules.log import RulesLog
from api.rules.routes import router as rules_router
from api.samples.routes import router as samples_router
from api.services import run_services
from api.settings import Settings
from api.signals.overview_routes import router as overview_router
from api.signals.routes import router as signals_router
from api.snoozes.routes import router as snoozes_router
from api.tenants.deletion_routes import router as deletion_router
from api.tenants.routes import router as tenant_router
from api.traces.routes import router as traces_router
from api.usage.routes import router as usage_router

API_PREFIX = "/api/v1"
OPENAPI_PATH = f"{API_PREFIX}/openapi.json"


def create_app(
    settings: Settings,
    *,
    rules_log: RulesLog | None = None,
    limits: RequestLimits | None = None,
) -> FastAPI:
    """Build the application; connections are opened when it starts.

    rules_log, limits: in place of Kafka's and those of the environment, for tests.
    `api.web.routes` may offer `router`, `mount(app)` for static files, and
    `error_page(request, error)`, which answers refusals outside /api/ with a page.
    Raises SettingError if a setting is missing, RuntimeError if a route names no permission.
    """
    _ = settings.app_dsn, settings.pepper, settings.proxies, settings.mailer
    _ = settings.redis, settings.origins, settings.identity, settings.keys
    _ = settings.callable_networks

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with run_services(settings, rules_log=rules_log, limits=limits) as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="BeTrace",
        version="1",
        lifespan=lifespan,
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
    )
    for router in (
        session_router,
        account_router,
        rules_editor_router,
        rules_router,
        exceptions_router,
        snoozes_router,
        backtests_router,
        condition_router,
        overview_router,
        signals_router,
        traces_router,
        samples_router,
        cases_router,
        dead_letters_router,
        notices_router,
        keys_router,
        tenant_router,
        retention_router,
        redaction_router,
        exports_router,
        deletion_router,
        usage_router,
        members_router,
        invitations_router,
        audit_router,
        anchors_router,
        controls_router,
        evidence_log_router,
        evidence_router,
        verifications_router,
        operator_router,
    ):
        app.include_router(router, prefix=API_PREFIX)
    app.include_router(health_router)
    web = _web()
    if web is not None:
        app.include_router(web.router)
        if hasattr(web, "mount"):
            web.mount(app)
    install_handlers(app, error_page=getattr(web, "error_page", None), on_refusal=note_refusal)
    app.add_middleware(BodyGuard)
    allow_origins(app, settings.origins)
    app.add_middleware(HostCheck, allowed=settings.hosts)
    app.add_middleware(RequestContext, https=settings.cookie_secure)
    describe(app)
    refuse_undeclared(app)
    return app


def _web() -> Any:
    if find_spec("api.web") is None or find_spec("api.web.routes") is None:
        return None
    return import_module("api.web.routes")
