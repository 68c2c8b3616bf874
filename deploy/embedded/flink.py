"""A Flink standalone cluster out of the Python wheel: configuration, JobManager, TaskManager.

The wheel brings Flink's jars; the Python bridge and the Kafka connector are linked
beside them in a lib folder of our own, so that the wheel stays as it was installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import yaml

from deploy.embedded.component import Command, Service, StartError
from deploy.embedded.flink_memory import process_size
from deploy.embedded.flink_rest import FlinkRest
from deploy.embedded.java import class_archive, java, write_class_archive
from deploy.embedded.layout import FLINK_LIB, JARS, Layout
from deploy.embedded.settings import StackSettings

MAIN_CLASSES = {
    "jobmanager": "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}


def jobmanager(settings: StackSettings, layout: Layout) -> Service:
    """The JobManager with its REST port; it holds no job over its own death (no HA)."""
    rest = FlinkRest(settings.flink)
    return Service(
        name="jobmanager",
        command=lambda: _java_command(
            layout,
            "jobmanager",
            flags=("-XX:TieredStopAtLevel=1", *class_archive("jobmanager", _jars())),
        ),
        prepare=lambda: _prepare(settings, layout, scratch=("jobmanager",)),
        ready=rest.answers,
        at_rest=lambda pid: write_class_archive(pid, "jobmanager", _jars()),
    )


def taskmanager(settings: StackSettings, layout: Layout) -> Service:
    """The TaskManager with all slots. It goes down with the JobManager, so that no attempt of
    a job is still running when the job is submitted again."""
    rest = FlinkRest(settings.flink)
    before: set[str] = set()

    def prepare() -> None:
        _prepare(settings, layout, scratch=("taskmanager", "db"))
        before.update(rest.taskmanagers())  # one that died is listed until it is missed

    return Service(
        name="taskmanager",
        command=lambda: _java_command(
            layout,
            "taskmanager",
            flags=("-XX:+UseParallelGC", *class_archive("taskmanager", _jars())),
        ),
        prepare=prepare,
        ready=lambda: bool(rest.taskmanagers() - before),
        at_rest=lambda pid: write_class_archive(pid, "taskmanager", _jars()),
        restarts_with="jobmanager",
    )


def flink_environment(layout: Layout) -> dict[str, str]:
    """Variables by which Flink's scripts find this stack's configuration."""
    return {
        "FLINK_CONF_DIR": str(layout.flink / "conf"),
        "FLINK_LIB_DIR": str(FLINK_LIB),
        "FLINK_LOG_DIR": str(layout.log),
        "FLINK_OPT_DIR": str(flink_home() / "opt"),
        "FLINK_PLUGINS_DIR": str(flink_home() / "plugins"),
        "MAX_LOG_FILE_NUMBER": "3",
        "FLINK_PID_DIR": str(layout.flink / "tmp"),
        "FLINK_IDENT_STRING": "betrace",
        # Python workers inherit these. By default glibc maps and unmaps every record of spans
        # (over 128 KB), and the kernel clears its pages each time.
        "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
        # By default threads get 16 arenas on two cores, and what one has freed is lost to the
        # others: RocksDB's threads alone held 600 MB of it.
        "MALLOC_ARENA_MAX": "2",
    }


def flink_home() -> Path:
    """Folder of the wheel. Raises StartError if PyFlink is not installed."""
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise StartError("PyFlink is not installed in this environment: run `make demo`")
    return Path(spec.origin).parent


def _java_command(layout: Layout, process: str, *, flags: tuple[str, ...]) -> Command:
    """What Flink's `flink-console.sh` would run, without the four helper JVMs of the scripts."""
    conf = layout.flink / "conf"
    size = process_size(process, configuration=conf, flink_home=flink_home())
    return Command(
        argv=(
            java(),
            *size.jvm,
            *flags,
            *_java_options().split(),
            f"-Dlog.file={layout.log / process}.flink.log",
            "-Dconsole.log.level=ERROR",  # the file has it all, and rolls over
            f"-Dlog4j.configurationFile=file:{conf / 'log4j-console.properties'}",
            "-classpath",
            os.pathsep.join(str(jar) for jar in _jars()),
            MAIN_CLASSES[process],
            "--configDir",
            str(conf),
            *size.arguments,
        ),
        environment=flink_environment(layout),
        folder=layout.flink,
    )


def _prepare(settings: StackSettings, layout: Layout, *, scratch: Iterable[str]) -> None:
    """Write configuration, fill the lib folder, clear the scratch of a process that was killed."""
    conf = layout.flink / "conf"
    for folder in (conf, layout.flink / "checkpoints", layout.flink / "savepoints"):
        folder.mkdir(exist_ok=True)
    for name in scratch:
        shutil.rmtree(layout.flink / "tmp" / name, ignore_errors=True)
        # What a killed process left behind may be writing still, and so keep its folder alive.
        (layout.flink / "tmp" / name).mkdir(parents=True, exist_ok=True)
    for shipped in (flink_home() / "conf").glob("log*"):
        shutil.copyfile(shipped, conf / shipped.name)
    _write_at_once(conf / "config.yaml", yaml.safe_dump(_configuration(settings, layout)))
    _link_jars()


def _jars() -> list[Path]:
    """The class path, in the order that Flink's scripts give it: the distribution last."""
    jars = FLINK_LIB.glob("*.jar")
    return sorted(jars, key=lambda jar: (jar.name.startswith("flink-dist"), jar.name))


def _link_jars() -> None:
    """Fill the lib folder, which all stacks of this checkout share: one class path, and so one
    archive of classes."""
    FLINK_LIB.mkdir(parents=True, exist_ok=True)
    connector = sorted((JARS / "flink").glob("*.jar"))
    if not connector:
        raise StartError(f"Flink's Kafka connector is not in {JARS}: run `make jars`")
    bridge = (flink_home() / "opt").glob("flink-python-*.jar")
    wanted = {jar.name: jar for jar in ((flink_home() / "lib").glob("*.jar"))}
    wanted |= {jar.name: jar for jar in (*bridge, *connector)}
    for link in FLINK_LIB.glob("*.jar"):
        if wanted.get(link.name) != link.resolve():
            link.unlink(missing_ok=True)
    for name, jar in wanted.items():
        if not (FLINK_LIB / name).exists():
            _link_at_once(FLINK_LIB / name, jar)


def _configuration(settings: StackSettings, layout: Layout) -> dict[str, object]:
    """Flink's configuration; why a value is not the default stands beside it."""
    return {
        "env.java.opts.all": _java_options(),
        # Nothing but this machine may speak to the cluster: its REST port starts programs.
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": settings.ports.flink,
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": settings.ports.flink_rpc,
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "web.submit.enable": False,
        "jobmanager.memory.process.size": settings.jobmanager_memory,
        "taskmanager.memory.process.size": settings.taskmanager_memory,
        # Kafka's fetches and gRPC to the Python workers use direct memory: it died without.
        "taskmanager.memory.task.off-heap.size": "768m",
        # RocksDB names its logs after this path, and restored ones by 37 letters more: below the
        # working directory of a TaskManager that is longer than a file's name may be.
        "state.backend.rocksdb.localdir": str(layout.flink / "tmp" / "db"),
        "taskmanager.numberOfTaskSlots": settings.slots,
        "parallelism.default": settings.slots,
        "io.tmp.dirs": str(layout.flink / "tmp" / "taskmanager"),
        "blob.storage.directory": str(layout.flink / "tmp" / "jobmanager"),
        # A killed TaskManager is noticed in seconds; on one machine there is no slow network.
        "heartbeat.interval": "2 s",
        "heartbeat.timeout": "20 s",
        "cluster.registration.error-delay": "500 ms",
        "cluster.registration.refused-registration-delay": "1 s",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.max-backoff": "15 s",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": True,
        "execution.checkpointing.dir": f"file://{layout.flink / 'checkpoints'}",
        "execution.checkpointing.savepoint-dir": f"file://{layout.flink / 'savepoints'}",
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_s} s",
        "execution.checkpointing.min-pause": f"{settings.checkpoint_interval_s / 2:g} s",
        "execution.checkpointing.tolerable-failed-checkpoints": 100,
        "execution.checkpointing.num-retained": 3,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "pipeline.object-reuse": True,
        "python.fn-execution.bundle.size": 1000,
        "python.fn-execution.bundle.time": 100,
        "python.state.cache-size": 640,  # 20 entries for each of the 32 lanes
        "python.map-state.read-cache-size": 0,
    }


def _java_options() -> str:
    """The options the wheel ships for Java 17: without its --add-opens nothing starts."""
    shipped = yaml.safe_load((flink_home() / "conf" / "config.yaml").read_text())
    return str(shipped["env"]["java"]["opts"]["all"])


def _write_at_once(path: Path, text: str) -> None:
    """JobManager and TaskManager prepare side by side and write the same file."""
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    temporary.write_text(text)
    temporary.replace(path)


def _link_at_once(link: Path, target: Path) -> None:
    temporary = link.with_name(f".{link.name}.{os.urandom(4).hex()}")
    temporary.symlink_to(target)
    temporary.replace(link)
