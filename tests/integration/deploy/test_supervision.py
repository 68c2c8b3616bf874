"""The supervisor against a real broker: what is killed comes back, what is stopped is gone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from deploy.embedded.process import STACK_VARIABLE, marked, wait_until
from deploy.embedded.settings import Ports
from deploy.embedded.stack import Stack, StackError
from tests.support.stack import running_stack

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kafka() -> Iterator[Stack]:
    """A Kafka broker without topics; its address is `kafka.settings.kafka`."""
    with running_stack(["kafka"]) as stack:
        yield stack


def test_a_killed_broker_comes_back_with_its_topics(kafka: Stack) -> None:
    _create_topic(kafka, "kept-over-a-kill")
    killed = kafka.pid("kafka")

    os.kill(killed, signal.SIGKILL)

    assert kafka.wait_restarted("kafka", after_pid=killed) != killed
    assert "kept-over-a-kill" in _topics(kafka)


def test_up_on_a_running_stack_changes_nothing(kafka: Stack) -> None:
    before = kafka.pid("kafka")

    Stack(kafka.settings.home, settings=kafka.settings).up()

    assert kafka.pid("kafka") == before


def test_up_with_other_settings_is_refused_while_the_stack_runs(kafka: Stack) -> None:
    other = Stack(kafka.settings.home, settings=replace(kafka.settings, topic_prefix="other"))

    with pytest.raises(StackError, match="run `make down` first"):
        other.up()


def test_a_busy_port_is_named_with_its_holder_and_its_variable(kafka: Stack) -> None:
    ports = replace(Ports.free(), kafka=kafka.settings.ports.kafka)
    home = kafka.settings.home.with_name(f"{kafka.settings.home.name}-second")
    second = Stack(home, ports=ports, components=["kafka"])

    with pytest.raises(StackError) as refused:
        second.up()

    assert f"port {ports.kafka} is taken by java (pid {kafka.pid('kafka')})" in str(refused.value)
    assert "BETRACE_KAFKA_PORT" in str(refused.value)


def test_down_leaves_no_process_and_data_survive() -> None:
    with running_stack(["kafka"]) as stack:
        state = stack.state()
        assert state is not None
        _create_topic(stack, "kept-over-a-stop")

        assert stack.down()

        assert marked(state.stack_id) == []
        assert not state.supervisor.alive()
        assert not stack.down()
        stack.up()
        assert "kept-over-a-stop" in _topics(stack)


def test_a_start_after_the_supervisor_was_killed_clears_up_first() -> None:
    with running_stack(["kafka"]) as stack:
        state = stack.state()
        assert state is not None
        orphan = psutil.Process(stack.pid("kafka"))
        os.kill(state.supervisor.pid, signal.SIGKILL)
        assert wait_until(lambda: not stack.running(), timeout_s=10)
        assert orphan.environ()[STACK_VARIABLE] == state.stack_id

        stack.up()

        assert not orphan.is_running()
        assert _topics(stack) == []


def test_a_component_that_cannot_start_is_reported_and_nothing_is_left_running() -> None:
    ports = Ports.free()
    with socket.socket() as taken, running_stack([]) as empty:
        # Flink's Kafka controller port is checked; this one is only found out by Kafka itself.
        taken.bind(("127.0.0.1", 0))
        broken = Stack(
            empty.settings.home.with_name(f"{empty.settings.home.name}-broken"),
            settings=replace(
                empty.settings,
                home=empty.settings.home.with_name(f"{empty.settings.home.name}-broken"),
                ports=ports,
                components=("kafka",),
                kafka_heap="1m",
            ),
        )

        with pytest.raises(StackError, match="kafka did not start"):
            broken.up()

        assert broken.state() is None


def _create_topic(stack: Stack, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=stack.settings.kafka)
    try:
        admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        admin.close()


def _topics(stack: Stack) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=stack.settings.kafka)
    try:
        return sorted(admin.list_topics())
    finally:
        admin.close()
