"""What the routes of one process share: pool, authentication, publisher, feed, Kafka's answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from confluent_kafka.admin import AdminClient
from fastapi import Request
from prometheus_client import CollectorRegistry, start_http_server

from api.anchors.sealed_secrets import SecretBox
from api.anchors.sending import Sender, open_ways
from api.anchors.work import Anchoring
from api.audit.decisions import Decisions
from api.auth.access import Authenticator
from api.auth.accounts import Accounts
from api.auth.key_uses import KeyUses, keep_uses
from api.auth.key_verifier import KeyVerifier
from api.auth.passwords import Passwords
from api.auth.second_factor import SecondFactors
from api.auth.sessions import Sessions, SessionTimes
from api.auth.sign_in import SignIn
from api.cases.service import Cases
from api.database import Pool, open_pool
from api.dead_letters.replay import Replayer
from api.evidence.packing import PackMaker
from api.evidence.quiet import keep_listening
from api.exceptions.service import Exceptions
from api.exports.service import Exporter
from api.health.condition import Condition
from api.health.service import Check, kafka_check, postgres_check
from api.identity.provider import Inviter
from api.identity.sign_in import ProviderSignIn
from api.identity.wiring import make_identity
from api.invitations.model import InvitationMaker
from api.kafka.log_times import LogTimes
from api.kafka.topics import TopicNames
from api.keyring.metrics import RingFigures
from api.keyring.rotation import keep_rotating
from api.keyring.wiring import Keys, open_keys
from api.keys.service import KeyMaker
from api.limits.buckets import LocalBuckets
from api.limits.metrics import LimitMetrics
from api.limits.requests import RequestLimiter
from api.limits.settings import RequestLimits
from api.limits.shared import SharedBuckets, open_redis_buckets
from api.mail import Mailer
from api.operators.sign_in import Operators
from api.redaction.counting import RedactionCounts, keep_counts
from api.redaction.redactors import Redactors
from api.redaction.wanted import keep_rules_along
from api.rules.log import KafkaRulesLog, RulesLog
from api.rules.outbox import Publisher, keep_house
from api.rules.playground import Playground
from api.rules.quarantine import keep_quarantine
from api.rules.seen import SeenNames
from api.rules.trial import Trials
from api.samples.judging import Judge
from api.samples.service import Samples
from api.settings import Settings
from api.signals.feed import FeedHub, SignalFeed
from api.signals.notes import Notes
from api.tenants.purge import keep_purging
from api.traces.layouts import Layouts
from api.usage.service import keep_usage


@dataclass(frozen=True, slots=True)
class Services:
    """Found at `request.app.state.services`."""

    settings: Settings
    pool: Pool
    authenticator: Authenticator
    sessions: Sessions
    sign_in: SignIn
    provider: ProviderSignIn | None
    accounts: Accounts
    operators: Operators
    passwords: Passwords
    key_maker: KeyMaker
    keys: Keys | None
    anchor_secrets: SecretBox
    anchoring: Anchoring
    redactors: Redactors
    invitation_maker: InvitationMaker
    inviter: Inviter | None
    mailer: Mailer | None
    decisions: Decisions
    publisher: Publisher
    trials: Trials
    playground: Playground
    seen_names: SeenNames
    feed: SignalFeed
    layouts: Layouts
    notes: Notes
    samples: Samples
    judge: Judge
    cases: Cases
    exceptions: Exceptions
    replayer: Replayer
    exporter: Exporter
    packs: PackMaker
    log_times: LogTimes
    registry: CollectorRegistry
    checks: Mapping[str, Check]
    condition: Condition


def services_of(request: Request) -> Services:
    """Return the services of the application that serves the request."""
    found: Services = request.app.state.services
    return found


@asynccontextmanager
async def run_services(
    settings: Settings,
    *,
    rules_log: RulesLog | None = None,
    limits: RequestLimits | None = None,
) -> AsyncIterator[Services]:
    """Open connections, start what runs beside the requests, and end it all afterwards.

    rules_log: in place of Kafka's. limits: in place of those of the environment.
    """
    pepper = settings.pepper
    topics = TopicNames(settings.topic_prefix)
    kafka_log = KafkaRulesLog(settings.kafka, topic=topics.rules)
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    hub = FeedHub(settings.app_dsn)
    size = settings.database_pool_max
    registry = CollectorRegistry()
    metrics = LimitMetrics(registry)
    async with (
        open_pool(settings.app_dsn, size=size, name="betrace-api") as pool,
        open_redis_buckets(
            settings.redis, prefix=settings.topic_prefix, metrics=metrics
        ) as redis_buckets,
    ):
        buckets = SharedBuckets(LocalBuckets(), redis_buckets, metrics=metrics)
        limiter = RequestLimiter(buckets, limits or RequestLimits(), metrics=metrics)
        sessions = Sessions(pool, pepper=pepper, times=_session_times(settings))
        passwords, factors = Passwords(), SecondFactors(pepper=pepper)
        uses = KeyUses()
        operators = Operators(pool, pepper=pepper)
        verifier = KeyVerifier(
            pool, pepper=pepper, uses=uses, accept_test=settings.accept_test_keys
        )
        accounts = Accounts(
            pool, pepper=pepper, passwords=passwords, sessions=sessions, factors=factors
        )
        identity = make_identity(
            settings.identity, pool, pepper=pepper, sessions=sessions, accounts=accounts
        )
        keys = open_keys(settings.keys, pool)
        anchor_secrets = SecretBox(keys)
        ways = open_ways(
            networks=settings.callable_networks,
            plain_http=settings.outbound_http,
            mailer=settings.mailer,
        )
        redactors = Redactors(pool, keys.ring if keys else None)
        redaction_counts = RedactionCounts()
        trials = Trials()
        judge = Judge(trials, redactors)
        cases = Cases(pool, redactors, judge)
        publisher = Publisher(pool, rules_log or kafka_log)
        checks = {
            "postgres": postgres_check(pool),
            "kafka": kafka_check(admin, topic=topics.rules),
        }
        services = Services(
            settings=settings,
            pool=pool,
            authenticator=Authenticator(
                verifier,
                sessions,
                limiter=limiter,
                operators=operators,
                bearers=identity.bearers,
                proxies=settings.proxies,
            ),
            sessions=sessions,
            sign_in=SignIn(
                pool,
                pepper=pepper,
                passwords=passwords,
                sessions=sessions,
                factors=factors,
                enabled=settings.local_accounts,
            ),
            passwords=passwords,
            provider=identity.sign_in,
            accounts=accounts,
            operators=operators,
            key_maker=KeyMaker(pepper, most=settings.max_api_keys),
            keys=keys,
            anchor_secrets=anchor_secrets,
            anchoring=Anchoring(pool, Sender(ways, anchor_secrets)),
            redactors=redactors,
            invitation_maker=InvitationMaker(pepper, settings.invitation_lifetime),
            inviter=identity.inviter,
            mailer=settings.mailer,
            decisions=Decisions(pool),
            publisher=publisher,
            trials=trials,
            playground=Playground(pool, redactors, trials),
            seen_names=SeenNames(pool),
            feed=SignalFeed(pool, hub),
            layouts=Layouts(pool),
            notes=Notes(pool, redactors),
            samples=Samples(pool, redactors),
            judge=judge,
            cases=cases,
            exceptions=Exceptions(pool, publisher, redactors, trials=trials, cases=cases),
            replayer=Replayer(settings.kafka, topics, redactors, redaction_counts),
            exporter=Exporter(pool),
            packs=PackMaker(pool, keys, dsn=settings.app_dsn),
            log_times=LogTimes(admin, topics.spans),
            registry=registry,
            checks=checks,
            condition=Condition(pool, {"kafka": checks["kafka"]}),
        )
        beside = [
            asyncio.create_task(hub.run(), name="feed"),
            asyncio.create_task(keep_house(pool, services.publisher), name="housekeeping"),
            asyncio.create_task(keep_quarantine(pool, services.publisher), name="quarantine"),
            asyncio.create_task(keep_uses(pool, uses), name="key-uses"),
            asyncio.create_task(services.decisions.run(), name="decisions"),
            asyncio.create_task(keep_usage(pool), name="usage"),
            asyncio.create_task(keep_counts(pool, redaction_counts), name="redaction-counts"),
            asyncio.create_task(
                keep_rules_along(pool, services.publisher, redactors), name="redaction-keys"
            ),
            asyncio.create_task(keep_listening(pool), name="quiet-controls"),
            asyncio.create_task(
                keep_purging(pool, services.publisher, keys=services.keys), name="purge"
            ),
        ]
        if services.keys is not None:
            registry.register(RingFigures(services.keys.ring))
            days = settings.keys_rotate_days
            rotating = keep_rotating(pool, services.keys, days=days, registry=registry)
            beside.append(asyncio.create_task(rotating, name="keys"))
        try:
            with _figures(settings, registry):
                yield services
        finally:
            for task in beside:
                task.cancel()
            for task in beside:
                with suppress(asyncio.CancelledError):
                    await task
            await services.decisions.flush(whole=True)
            await services.feed.close()
            await services.condition.close()
            await identity.close()
            services.replayer.close()
            kafka_log.close()


@contextmanager
def _figures(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    """Offer the figures of the process to Prometheus, if a port is set for them."""
    if not settings.metrics_port:
        yield
        return
    server, thread = start_http_server(settings.metrics_port, settings.http_host, registry)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _session_times(settings: Settings) -> SessionTimes:
    return SessionTimes(
        idle=timedelta(minutes=settings.session_idle_minutes),
        absolute=timedelta(days=settings.session_days),
    )
