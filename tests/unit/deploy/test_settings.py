"""What a shell's variables make of a stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.embedded.envfile import read_env_file, update_env_file, write_env_file
from deploy.embedded.settings import EVERYTHING, SERVERS, External, Ports, StackSettings


def test_without_variables_everything_runs_here_on_the_documented_ports() -> None:
    settings = StackSettings.from_environment({})

    assert settings.home.name == ".betrace"
    assert settings.ports == Ports(http=8080, otlp_http=4318, otlp_grpc=4317, kafka=19092)
    assert settings.components == EVERYTHING
    assert settings.external == External()
    assert all(settings.starts(server) for server in SERVERS)


def test_ports_and_sizes_are_taken_from_variables(tmp_path: Path) -> None:
    settings = StackSettings.from_environment(
        {
            "BETRACE_HOME": str(tmp_path),
            "BETRACE_HTTP_PORT": "9000",
            "BETRACE_KAFKA_PORT": "9001",
            "BETRACE_FLINK_SLOTS": "4",
            "BETRACE_TASKMANAGER_MEMORY": "8g",
        },
        components=("kafka",),
    )

    assert settings == StackSettings(
        home=tmp_path,
        ports=replace(Ports(), http=9000, kafka=9001),
        components=("kafka",),
        slots=4,
        taskmanager_memory="8g",
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BETRACE_HTTP_PORT", "0"),
        ("BETRACE_HTTP_PORT", "65536"),
        ("BETRACE_KAFKA_PORT", "http"),
        ("BETRACE_FLINK_SLOTS", "-1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{variable}='{value}'"):
        StackSettings.from_environment({variable: value})


def test_servers_that_are_named_are_not_started(tmp_path: Path) -> None:
    settings = StackSettings.from_environment(
        {"BETRACE_HOME": str(tmp_path), "BETRACE_KAFKA": "kafka.example:9092"}
    )

    assert settings.kafka == "kafka.example:9092"
    assert [server for server in SERVERS if settings.starts(server)] == [
        "postgres",
        "jobmanager",
        "taskmanager",
    ]


def test_a_shell_that_loaded_our_own_demo_env_names_no_external_servers(tmp_path: Path) -> None:
    write_env_file(tmp_path / "demo.env", {"BETRACE_KAFKA": "127.0.0.1:19092"})

    settings = StackSettings.from_environment(
        {"BETRACE_HOME": str(tmp_path), "BETRACE_KAFKA": "127.0.0.1:19092"}
    )

    assert settings.starts("kafka")


def test_settings_survive_the_way_to_the_supervisor(tmp_path: Path) -> None:
    settings = StackSettings(
        home=tmp_path,
        ports=Ports.free(),
        components=SERVERS,
        external=External(flink="http://flink.example:8081"),
        environment={"BETRACE_LOG_LEVEL": "debug"},
    )

    assert StackSettings.from_json(settings.to_json()) == settings


def test_free_ports_differ_from_each_other() -> None:
    ports = Ports.free()

    numbers = [getattr(ports, name) for name in Ports.__dataclass_fields__]
    assert len(set(numbers)) == len(numbers)


def test_an_env_file_keeps_any_value_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "demo.env"
    values = {"PLAIN": "a=b", "BLANKS": "two words", "QUOTES": 'it\'s "$HOME"'}

    write_env_file(path, values)

    assert read_env_file(path) == values
    assert path.stat().st_mode & 0o777 == 0o600


def test_updating_an_env_file_keeps_what_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "demo.env"
    write_env_file(path, {"A": "1", "B": "2"})

    update_env_file(path, {"B": "3", "C": "4"})

    assert read_env_file(path) == {"A": "1", "B": "3", "C": "4"}


def test_an_absent_env_file_is_empty(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "demo.env") == {}
