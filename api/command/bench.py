"""`betrace bench`: how fast it is, and whether it is right while it is fast."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated
from uuid import UUID

import typer
from pydantic import SecretStr
from rich.console import Console

from api.bench.engine import EngineSettings, run_engine
from api.bench.evaluator import RULE_COUNTS, measure_evaluator
from api.bench.evidence import measure_evidence
from api.bench.evidence_lists import measure_lists
from api.bench.feed import measure_feed
from api.bench.machine import hardware
from api.bench.many_rules import ChildFailed, RulesAsked, measure_many_rules
from api.bench.overhead import measure_overhead
from api.bench.plan import LoadSettings
from api.bench.recovery import measure_recovery
from api.bench.redaction import measure_redaction
from api.bench.report import (
    engine_table,
    evaluator_table,
    evidence_table,
    feed_table,
    lists_table,
    many_rules_table,
    overhead_table,
    recovery_table,
    redaction_table,
    run_table,
    sealing_table,
    signals_table,
)
from api.bench.run import RunSettings, measure
from api.bench.running import Wanted
from api.bench.sealing import measure_sealing
from api.bench.signals import measure_signals
from api.bench.stack import Lifetimes, own_postgres, own_stack, stack_of
from api.bench.traffic import TrafficSettings
from api.command.bench_long import (
    TROUBLE,
    AsJson,
    Facts,
    Records,
    Rules,
    Running,
    Structural,
    door,
    failed,
    giant,
    say,
    soak,
    table,
)
from api.command.operator import operator_scope
from api.logs import configure_logging
from api.settings import Settings, load_settings

app = typer.Typer(
    help="Measure throughput, delays, precision and recall under a load whose verdicts are known.",
)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    *,
    rules: Rules = 100,
    structural: Structural = 0,
    seconds: Annotated[float, typer.Option(min=10, help="Of the sustained phase.")] = 60.0,
    slots: Annotated[int, typer.Option(min=1, help="Flink task slots of an own stack.")] = 2,
    record_spans: Records = 512,
    facts_share: Facts = 0.2,
    latency_seconds: Annotated[
        float, typer.Option(min=0, help="Of each latency phase, at 50 % and 80 % load; 0: none.")
    ] = 30.0,
    giant: Annotated[int, typer.Option(min=0, help="Spans of one giant trace; 0: none.")] = 100_000,
    rate: Annotated[
        float, typer.Option(min=0, help="Spans per second to hold; 0: find the highest.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the load: equal seeds, equal traces.")] = 1,
    running: Running = False,
    as_json: AsJson = False,
) -> None:
    """Measure the whole way, from Kafka to signals in Postgres, on real servers.

    Exit 1 if precision or recall is below 1, or no rate was sustained.
    """
    if context.invoked_subcommand:
        return
    settings = RunSettings(
        wanted=Wanted(
            rules=rules,
            structural=structural,
            record_spans=record_spans,
            facts_share=facts_share,
            giant_spans=giant,
            seed=seed,
        ),
        seconds=seconds,
        slots=slots,
        latency_seconds=latency_seconds,
        rate=rate,
    )
    try:
        figures = measure(settings, stack_of(slots, running=running), say=say)
    except TROUBLE as error:
        raise failed(error) from error
    if as_json:
        typer.echo(json.dumps(figures.to_dict()))
    else:
        Console().print(run_table(figures))
    right = figures.score.precision == figures.score.recall == 1.0
    raise typer.Exit(0 if right and figures.sustained.flat else 1)


@app.command()
def engine(
    *,
    rules: Rules = 100,
    structural: Structural = 0,
    cycles: Annotated[int, typer.Option(min=2, help="Of about 131,000 spans each.")] = 6,
    record_spans: Records = 512,
    facts_share: Facts = 0.2,
    giant: Annotated[int, typer.Option(min=0, help="Spans of one giant trace; 0: none.")] = 0,
    seed: int = 1,
    profile: Annotated[str, typer.Option(help="Write a cProfile of the run to this file.")] = "",
    as_json: AsJson = False,
) -> None:
    """Measure the engine alone, in this process, and check its verdicts.

    Exit 1 if precision or recall is below 1.
    """
    load = LoadSettings(
        tenant="00000000-0000-4000-8000-0000000bec40",
        rules=rules,
        structural=structural,
        record_spans=record_spans,
        giant_spans=giant,
        traffic=TrafficSettings(seed=seed, facts_share=facts_share),
    )
    try:
        run = run_engine(EngineSettings(load=load, cycles=cycles), profile_to=profile)
    except TROUBLE as error:
        raise failed(error) from error
    if as_json:
        typer.echo(json.dumps(run.to_dict() | {"hardware": hardware()}))
    else:
        Console().print(engine_table(run, hardware=hardware()))
    raise typer.Exit(0 if run.score.precision == run.score.recall == 1.0 else 1)


@app.command()
def evaluator(
    *,
    rules: Annotated[list[int] | None, typer.Option(help="Rule counts; 1 to 10000.")] = None,
    traces: Annotated[int, typer.Option(min=1, help="Traces judged for each figure.")] = 3_000,
    repeats: Annotated[int, typer.Option(min=1, help="Each figure is the least of them.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure the evaluator alone, in this process: small traces, a large one, long rule texts."""
    figures = measure_evaluator(rules=rules or RULE_COUNTS, traces=traces, repeats=repeats)
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "evaluator": figures.to_dict()}))
    else:
        Console().print(evaluator_table(figures, hardware=hardware()))


@app.command()
def evidence(
    *,
    records: Annotated[int, typer.Option(min=1_000, help="Of one tenant's log.")] = 1_000_000,
    postgres: Annotated[
        bool,
        typer.Option(
            "--postgres",
            help="Have the sequencer seal them in the database of BETRACE_DATABASE_ADMIN_URL, "
            "which can be thrown away.",
        ),
    ] = False,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix",
            help="Have them sealed there, and ask for the matrix, lists, words and verifications.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the evidence log alone, in this process: appends, proofs, a pack verified.

    Exit 1 if the pack is not valid.
    """
    if matrix:
        settings = load_settings()
        asked = measure_lists(
            admin_dsn=settings.admin_dsn,
            worker_dsn=settings.worker_dsn,
            app_dsn=settings.app_dsn,
            records=records,
            say=say,
        )
        if as_json:
            typer.echo(json.dumps({"hardware": hardware(), "lists": asked.to_dict()}))
        else:
            Console().print(lists_table(asked, hardware=hardware()))
        return
    if postgres:
        settings = load_settings()
        sealed = measure_sealing(
            admin_dsn=settings.admin_dsn, worker_dsn=settings.worker_dsn, records=records, say=say
        )
        if as_json:
            typer.echo(json.dumps({"hardware": hardware(), "sealing": sealed.to_dict()}))
        else:
            Console().print(sealing_table(sealed, hardware=hardware()))
        return
    figures = measure_evidence(records=records, say=say)
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "evidence": figures.to_dict()}))
    else:
        Console().print(evidence_table(figures, hardware=hardware()))
    raise typer.Exit(0 if figures.valid else 1)


@app.command()
def redaction(
    *,
    records: Annotated[int, typer.Option(min=1, help="Of 450 spans each.")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="Each figure is the least of them.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure what redaction costs, in this process: clean spans, and spans with something.

    Exit 1 if the scan of clean spans makes fewer than 200,000 a second.
    """
    figures = measure_redaction(records=records, repeats=repeats)
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "redaction": figures.to_dict()}))
    else:
        Console().print(redaction_table(figures, hardware=hardware()))
    raise typer.Exit(0 if figures.within_target else 1)


@app.command()
def overhead(
    *,
    calls: Annotated[int, typer.Option(min=20, help="Of each kind and part.")] = 2_000,
    redis: Annotated[str, typer.Option(metavar="URL", help="Count in this Redis as well.")] = "",
    running: Running = False,
    as_json: AsJson = False,
) -> None:
    """Measure what credential, limits, permission and audit log add to a request.

    By kinds of credential, and by parts. Exit 1 if the p95 of the dearest, with a change put on the
    record, is 5 ms or more.
    """
    configure_logging("warning")  # lines about refusals are made and not written
    try:
        with stack_of(1, running=running) as stack:
            tenant = stack.make_tenant(Lifetimes())
            settings = Settings(
                database_url=SecretStr(stack["DATABASE_URL"]),
                secret_key=SecretStr(stack["BETRACE_SECRET_KEY"]),
                redis_url=SecretStr(redis),
                kafka=stack["BETRACE_KAFKA"],
            )
            figures = asyncio.run(
                measure_overhead(settings, operator_scope(UUID(tenant.id)), calls=calls)
            )
    except TROUBLE as error:
        raise failed(error) from error
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "overhead": figures.to_dict()}))
    else:
        Console().print(overhead_table(figures, hardware=hardware()))
    raise typer.Exit(0 if figures.within_target else 1)


@app.command()
def signals(
    *,
    signals: Annotated[int, typer.Option(min=1_000, help="Of one tenant.")] = 1_000_000,
    calls: Annotated[int, typer.Option(min=5, help="Of each request.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Measure lists, filters, counts and groups of very many signals, on a Postgres of its own.

    Exit 1 if the p95 of some request is 200 ms or more.
    """
    configure_logging("warning")
    try:
        with own_postgres() as stack:
            stack.command("db", "migrate")
            figures = measure_signals(
                admin_dsn=stack["BETRACE_DATABASE_ADMIN_URL"],
                app_dsn=stack["DATABASE_URL"],
                worker_dsn=stack["BETRACE_DATABASE_WORKER_URL"],
                scope_of=operator_scope,
                signals=signals,
                calls=calls,
                say=say,
            )
    except TROUBLE as error:
        raise failed(error) from error
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "signals": figures.to_dict()}))
    else:
        Console().print(signals_table(figures, hardware=hardware()))
    raise typer.Exit(0 if figures.within_target else 1)


@app.command()
def feed(
    *,
    connections: Annotated[int, typer.Option(min=1, help="Open streams.")] = 1_000,
    rate: Annotated[int, typer.Option(min=10, help="Signals a second.")] = 1_000,
    seconds: Annotated[int, typer.Option(min=1, help="How long they come.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Measure the live feed: delivery, loss where streams break, and memory of the API.

    Exit 1 if the p95 of delivery is over 500 ms, or a stream was not told of each signal once.
    """
    configure_logging("warning")
    try:
        with own_postgres() as stack:
            stack.command("db", "migrate")
            figures = measure_feed(
                stack,
                key_of=lambda tenant: stack.make_key(str(tenant)),
                connections=connections,
                rate=rate,
                seconds=seconds,
                say=say,
            )
    except TROUBLE as error:
        raise failed(error) from error
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "feed": figures.to_dict()}))
    else:
        Console().print(feed_table(figures, hardware=hardware()))
    raise typer.Exit(0 if figures.within_target else 1)


@app.command("rules")
def many_rules(
    *,
    tenants: Annotated[int, typer.Option(min=1, help="Each with rules of its own.")] = 100,
    rules: Annotated[int, typer.Option(min=1, help="Of each tenant.")] = 1_000,
    recovery: Annotated[
        bool, typer.Option(help="Measure on servers instead: kill the TaskManager.")
    ] = False,
    slots: Annotated[int, typer.Option(min=1, help="Flink task slots of those servers.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Measure what very many rules cost a process of the job, in a process of its own."""
    asked = RulesAsked(tenants, rules)
    try:
        if recovery:
            recovered = measure_recovery(asked, own_stack(slots=slots), say=say)
            figures, shown = recovered.to_dict(), recovery_table(recovered, hardware=hardware())
        else:
            measured = measure_many_rules(asked, say=say)
            figures, shown = measured.to_dict(), many_rules_table(measured, hardware=hardware())
    except (*TROUBLE, ChildFailed) as error:
        raise failed(error) from error
    if as_json:
        typer.echo(json.dumps({"hardware": hardware(), "many_rules": figures}))
    else:
        Console().print(shown)


for command in (door, table, soak, giant):
    app.command()(command)
