"""Which components a stack has, by its settings, and the variables they share."""

from __future__ import annotations

from deploy.embedded.apps import apps
from deploy.embedded.component import Component
from deploy.embedded.demo import demo
from deploy.embedded.envfile import update_env_file
from deploy.embedded.flink import jobmanager, taskmanager
from deploy.embedded.kafka import kafka
from deploy.embedded.layout import Layout
from deploy.embedded.postgres import APP, OWNER, WORKER, database_url, postgres
from deploy.embedded.secrets import Secrets, have_master_keys
from deploy.embedded.settings import StackSettings
from deploy.embedded.tenant import starter_rules, tenant


def components(settings: StackSettings, layout: Layout) -> tuple[Component, ...]:
    """Everything that the settings ask for, in no particular order."""
    secrets = Secrets.load(layout.secrets)
    have_master_keys(layout.master_keys)
    parts: list[Component] = []
    if settings.starts("postgres"):
        parts += postgres(settings, layout, secrets)
    if settings.starts("kafka"):
        parts.append(kafka(settings, layout))
    if settings.starts("jobmanager"):
        parts += [jobmanager(settings, layout), taskmanager(settings, layout)]
    variables = environment(settings, secrets)
    parts += apps(settings, layout, variables)
    if {"api", "ingest"} & set(settings.components):
        parts.append(tenant(layout, variables))
    if "demo" in settings.components:
        parts += [starter_rules(layout, variables), demo(settings, layout, variables)]
    return tuple(parts)


def write_connection_data(settings: StackSettings, layout: Layout) -> None:
    """Write `demo.env`; what was learnt at an earlier start (the API key) is kept."""
    update_env_file(layout.env_file, environment(settings, Secrets.load(layout.secrets)))


def environment(settings: StackSettings, secrets: Secrets) -> dict[str, str]:
    """The variables of our own processes: what a stack's processes and its users need to know."""
    ports = settings.ports
    external = settings.external

    def dsn(given: str, role: str, password: str) -> str:
        if external.database_url:
            return given
        return database_url(settings, role=role, password=password)

    values = {
        "BETRACE_HOME": str(settings.home),
        "BETRACE_URL": settings.url,
        "BETRACE_OTLP_HTTP": f"http://127.0.0.1:{ports.otlp_http}",
        "BETRACE_OTLP_GRPC": f"http://127.0.0.1:{ports.otlp_grpc}",
        "BETRACE_KAFKA": settings.kafka,
        "BETRACE_TOPIC_PREFIX": settings.topic_prefix,
        "BETRACE_FLINK": settings.flink,
        "DATABASE_URL": dsn(external.database_url, APP, secrets.database_app),
        "BETRACE_DATABASE_WORKER_URL": dsn(
            external.database_worker_url or external.database_url, WORKER, secrets.database_worker
        ),
        "BETRACE_DATABASE_ADMIN_URL": dsn(
            external.database_admin_url, OWNER, secrets.database_owner
        ),
        "BETRACE_SECRET_KEY": secrets.secret_key,
        "BETRACE_HTTP_HOST": "127.0.0.1",
        "BETRACE_HTTP_PORT": str(ports.http),
        "BETRACE_OTLP_HTTP_PORT": str(ports.otlp_http),
        "BETRACE_OTLP_GRPC_PORT": str(ports.otlp_grpc),
    }
    if not external.keys_provider:
        values["BETRACE_KEYS_PROVIDER"] = "local"
        values["BETRACE_KEYS_MASTER_FILE"] = str(Layout(settings.home).master_keys)
    return {**values, **settings.environment}
