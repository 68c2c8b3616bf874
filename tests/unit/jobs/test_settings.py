"""What the job understands of its arguments and of the environment."""

from __future__ import annotations

import pytest

from jobs.configuration import job_configuration
from jobs.settings import JobSettings, Start, parse_settings


def test_without_arguments_the_environment_decides() -> None:
    environment = {"BETRACE_KAFKA": "kafka:9092", "BETRACE_TOPIC_PREFIX": "prod"}
    assert parse_settings([], environment) == JobSettings(
        kafka="kafka:9092", input_prefix="prod", output_prefix="prod", group="prod.detect"
    )


def test_arguments_come_before_the_environment() -> None:
    given = ["--kafka", "a:1", "--topic-prefix", "x", "--parallelism", "4", "--start", "earliest"]
    assert parse_settings(given, {"BETRACE_KAFKA": "b:2"}) == JobSettings(
        kafka="a:1",
        input_prefix="x",
        output_prefix="x",
        group="x.detect",
        start=Start("earliest"),
        parallelism=4,
    )


def test_one_input_can_be_judged_into_other_topics() -> None:
    settings = parse_settings(["--topic-prefix", "live", "--output-topic-prefix", "again"], {})
    assert (settings.spans_topic, settings.rules_topic) == ("live.spans", "live.rules")
    assert settings.group == "again.detect"
    assert settings.output_topics == {
        "signals": "again.signals",
        "stats": "again.stats",
        "evidence": "again.evidence",
        "dead-letters": "again.dead-letters",
    }


def test_the_settings_of_a_running_job_can_be_given_again() -> None:
    given = ["--kafka", "a:1", "--topic-prefix", "x", "--parallelism", "4", "--group", "g"]
    settings = parse_settings([*given, "--checkpoint-dir", "s3://b/c"], {})
    assert parse_settings(settings.arguments(), {}) == settings


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("earliest", Start("earliest")),
        ("group", Start("group")),
        ("1700000000000", Start("timestamp", 1_700_000_000_000)),
    ],
)
def test_a_start_is_a_word_or_a_time(text: str, start: Start) -> None:
    assert parse_settings(["--start", text], {}).start == start


@pytest.mark.parametrize(
    ("arguments", "environment", "accepted"),
    [
        ([], {}, False),
        (["--accept-gap"], {}, True),
        ([], {"BETRACE_ACCEPT_GAP": "1"}, True),
        ([], {"BETRACE_ACCEPT_GAP": "0"}, False),
    ],
)
def test_a_gap_is_accepted_only_if_somebody_says_so(
    arguments: list[str], environment: dict[str, str], accepted: bool
) -> None:
    assert parse_settings(arguments, environment).accept_gap is accepted


@pytest.mark.parametrize("bad", [["--start", "latest"], ["--parallelism", "0"], ["--nonsense"]])
def test_bad_arguments_end_with_a_message(
    bad: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parse_settings(bad, {})
    assert left.value.code == 2
    assert bad[0] in capsys.readouterr().err


def test_the_job_brings_its_own_configuration() -> None:
    settings = parse_settings(["--parallelism", "2", "--checkpoint-dir", "s3://b/c"], {})
    options = job_configuration(settings)
    assert {
        name: options[name]
        for name in (
            "parallelism.default",
            "pipeline.max-parallelism",
            "state.backend.type",
            "execution.checkpointing.interval",
            "execution.checkpointing.dir",
            "execution.checkpointing.externalized-checkpoint-retention",
            "table.exec.source.idle-timeout",
        )
    } == {
        "parallelism.default": "2",
        "pipeline.max-parallelism": "128",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.interval": "10000 ms",
        "execution.checkpointing.dir": "s3://b/c",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "table.exec.source.idle-timeout": "0 ms",
    }


def test_the_checkpoint_folder_of_the_cluster_is_left_alone_unless_another_is_given() -> None:
    assert "execution.checkpointing.dir" not in job_configuration(parse_settings([], {}))
