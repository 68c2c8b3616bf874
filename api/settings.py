"""Settings of every process, read from the environment.

One class for all, since the processes share most of it. What only some need is empty by default
and asked for through a property that says what is missing.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from api.auth.addresses import Networks, parse_networks
from api.errors import OperatorError
from api.identity.config import IdentitySettings, OidcConfig, WorkosConfig, identity_config
from api.keyring.config import KeyConfig, KeySettings, key_config
from api.mail import Security, SmtpMailer

SECRET_KEY_MIN_LENGTH = 32
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")


class SettingError(OperatorError):
    """A setting is missing or unusable; the text says which and what to do."""


class Settings(IdentitySettings, KeySettings):
    """Where the servers are, and what the services listen on."""

    model_config = SettingsConfigDict(env_prefix="BETRACE_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="Postgres as role betrace_app.",
    )
    database_admin_url: SecretStr = Field(
        default=SecretStr(""), description="Postgres as the owner of the tables; migrations only."
    )
    database_worker_url: SecretStr = Field(
        default=SecretStr(""),
        description="Postgres as role betrace_worker. Empty: DATABASE_URL with that user.",
    )
    database_pool_max: int = Field(default=10, ge=1)
    statement_timeout_ms: int = Field(default=5_000, ge=100)
    kafka: str = "127.0.0.1:9092"
    topic_prefix: str = Field(default="betrace", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    flink: str = "http://127.0.0.1:8081"
    secret_key: SecretStr = SecretStr("")
    public_url: str = Field(
        default="", description="How browsers reach the API; https makes cookies Secure."
    )
    session_idle_minutes: int = Field(
        default=24 * 60, ge=1, description="A session ends when nothing comes for so long."
    )
    session_days: float = Field(
        default=7, gt=0, le=90, description="A session ends so long after signing in, used or not."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks, comma-separated, whose X-Forwarded-For is believed.",
    )
    allowed_hosts: str = Field(
        default="",
        description="Names, comma-separated, that the API answers to; *.example.com is all below "
        "it. Empty: any.",
    )
    cors_origins: str = Field(
        default="",
        description="Origins, comma-separated, whose pages may call the REST API with a key.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="Where replicas count requests and spans together. Empty: each for itself.",
    )
    accept_test_keys: bool = Field(
        default=False, description="Whether API keys that begin with betrace_test_ are good here."
    )
    max_api_keys: int = Field(default=100, ge=1, description="In use, of one tenant.")
    key_grace_s: float = Field(
        default=900,
        ge=0,
        description="For so long a key goes on at ingest while Postgres does not answer.",
    )
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    otlp_host: str = "127.0.0.1"
    otlp_http_port: int = Field(default=4318, ge=0, le=65535)
    otlp_grpc_port: int = Field(default=4317, ge=0, le=65535)
    otlp_url: str = Field(
        default="", description="How SDKs and Collectors reach ingest over HTTP, as pages show it."
    )
    metrics_port: int = Field(default=0, ge=0, le=65535)
    backtest_share: float = Field(
        default=0.5, ge=0, le=1, description="Of one core, for backtests; 0: this worker runs none."
    )
    sampled_traces_per_hour: int = Field(
        default=60,
        ge=0,
        le=10_000,
        description="Ordinary traces of each tenant that are stored; 0: none.",
    )
    backtest_hours: int = Field(
        default=24, ge=1, description="How long the range of a backtest may be."
    )
    deletion_grace_days: int = Field(
        default=30,
        ge=0,
        le=365,
        description="For so long a tenant whose deletion was asked for is kept.",
    )
    evidence_name: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9.-]{1,200})?$",
        description="How names of evidence logs begin, kept for ever; empty: host of the site.",
    )
    evidence_checkpoint_s: int = Field(
        default=60, ge=1, le=3_600, description="A log that grows is signed once in so long."
    )
    evidence_idle_s: int = Field(
        default=3_600, ge=60, le=86_400, description="A log that does not is signed then."
    )
    smtp_host: str = Field(default="", description="Mail server for invitations; empty: no mail.")
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Security = Field(
        default=Security.STARTTLS, description="starttls, tls, or none on the same machine."
    )
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    mail_from: str = Field(default="", description="Sender of mails; needed with a mail server.")
    outbound_networks: str = Field(
        default="",
        description="Private networks, comma-separated, that calls to tenants' URLs may go to.",
    )
    outbound_http: bool = Field(
        default=False, description="Whether tenants' webhooks and buckets may be http://."
    )
    invitation_days: int = Field(
        default=7, ge=1, le=30, description="How long an invitation can be accepted."
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def app_dsn(self) -> str:
        """DSN of the application role. Raises SettingError if unset."""
        return _required(self.database_url, "DATABASE_URL")

    @property
    def admin_dsn(self) -> str:
        """DSN of the owner. Raises SettingError if unset."""
        return _required(self.database_admin_url, "BETRACE_DATABASE_ADMIN_URL")

    @property
    def worker_dsn(self) -> str:
        """DSN of the worker's role: its own setting, else DATABASE_URL with another user."""
        if own := self.database_worker_url.get_secret_value():
            return own
        if conninfo_to_dict(self.app_dsn).get("password"):
            raise SettingError(
                "BETRACE_DATABASE_WORKER_URL is not set, and DATABASE_URL holds the password of "
                "another role. Set it to the DSN of role betrace_worker."
            )
        return make_conninfo(self.app_dsn, user="betrace_worker")

    @property
    def pepper(self) -> bytes:
        """Key of the hashes of API keys and sessions. Raises SettingError if unset or short."""
        secret = _required(self.secret_key, "BETRACE_SECRET_KEY")
        if len(secret) < SECRET_KEY_MIN_LENGTH:
            raise SettingError(
                f"BETRACE_SECRET_KEY has {len(secret)} characters, at least "
                f"{SECRET_KEY_MIN_LENGTH} are needed: openssl rand -hex 32"
            )
        return secret.encode()

    @property
    def proxies(self) -> Networks:
        """Networks of the trusted proxies. Raises SettingError naming what is none."""
        texts = [text for text in self.trusted_proxies.split(",") if text.strip()]
        try:
            return parse_networks(texts)
        except ValueError as error:
            raise SettingError(f"BETRACE_TRUSTED_PROXIES: {error}") from error

    @property
    def callable_networks(self) -> Networks:
        """Private networks that may be called. Raises SettingError naming what is none."""
        try:
            return parse_networks(_listed(self.outbound_networks))
        except ValueError as error:
            raise SettingError(f"BETRACE_OUTBOUND_NETWORKS: {error}") from error

    @property
    def mailer(self) -> SmtpMailer | None:
        """What sends mails, None without a mail server. Raises SettingError for half a setting.

        A link in a mail is the setting's: the Host header of a request is anybody's text.
        """
        if not self.smtp_host:
            return None
        for name, value in (("MAIL_FROM", self.mail_from), ("PUBLIC_URL", self.public_url)):
            if not value:
                raise SettingError(
                    f"BETRACE_SMTP_HOST is set and BETRACE_{name} is not: mails need both."
                )
        return SmtpMailer(
            host=self.smtp_host,
            port=self.smtp_port,
            security=self.smtp_security,
            sender=self.mail_from,
            user=self.smtp_user,
            password=self.smtp_password.get_secret_value(),
        )

    @property
    def invitation_lifetime(self) -> timedelta:
        """How long an invitation can be accepted."""
        return timedelta(days=self.invitation_days)

    @property
    def deletion_grace(self) -> timedelta:
        """For how long a tenant whose deletion was asked for is kept."""
        return timedelta(days=self.deletion_grace_days)

    @property
    def otlp_site(self) -> str:
        """Where exporters of OTLP over HTTP send to, without a slash at the end."""
        return self.otlp_url.rstrip("/") or f"http://{self.otlp_host}:{self.otlp_http_port}"

    @property
    def site(self) -> str:
        """How browsers reach the pages, without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://localhost:{self.http_port}"

    @property
    def hosts(self) -> list[str]:
        """Names that the API answers to, in lower case; none: any."""
        return _listed(self.allowed_hosts.lower())

    @property
    def origins(self) -> list[str]:
        """Origins whose pages may call the API. Raises SettingError for what is none."""
        origins = _listed(self.cors_origins)
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise SettingError(
                    f"BETRACE_CORS_ORIGINS: {origin!r} is no origin such as https://app.example.com"
                    " (a scheme, a host and perhaps a port; no path, no *)"
                )
        return origins

    @property
    def redis(self) -> str:
        """URL of Redis, empty without one. Raises SettingError if it is none."""
        url = self.redis_url.get_secret_value()
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingError("BETRACE_REDIS_URL must begin with redis://, rediss:// or unix://")
        return url

    @property
    def identity(self) -> OidcConfig | WorkosConfig | None:
        """The identity provider, None if there is none. Raises SettingError that says why."""
        try:
            return identity_config(self, site=self.public_url)
        except ValueError as error:
            raise SettingError(str(error)) from error

    @property
    def keys(self) -> KeyConfig | None:
        """The sources of tenants' keys, None without any. Raises SettingError that says why."""
        try:
            return key_config(self)
        except ValueError as error:
            raise SettingError(str(error)) from error

    @property
    def evidence_site(self) -> str:
        """How names of new evidence logs begin, as betrace.example."""
        return self.evidence_name or urlsplit(self.site).hostname or "localhost"

    @property
    def cookie_secure(self) -> bool:
        """Whether session cookies are for https alone."""
        return self.public_url.startswith("https://")


def load_settings() -> Settings:
    """Read the environment. Raises SettingError naming every unusable variable."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        ]
        raise SettingError("; ".join(lines)) from error


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _required(value: SecretStr, name: str) -> str:
    if text := value.get_secret_value():
        return text
    raise SettingError(f"{name} is not set.")
