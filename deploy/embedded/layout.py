"""Where a stack keeps its things below its home folder (`.betrace` by default).

demo.env            addresses and credentials, for shells and tests (mode 600)
secrets.json        what was drawn by chance once: keys and passwords (mode 600)
master-keys         wraps the keys of tenants; drawn at the first start (mode 600)
run/                supervisor's lock and settings, state.json, timings.json
log/                one file a process
postgres/ kafka/    data of the servers
flink/              conf, checkpoints, savepoints, tmp
job/                the job's code as it was submitted
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.settings import REPOSITORY


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one stack; nothing is made until `create`."""

    home: Path

    def create(self) -> None:
        """Make the folders. `home` itself may be crossed by others (Postgres runs under
        a user of its own when we are root); its secrets may not be read by them."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o711)
        for folder in (self.run, self.log, self.kafka, self.flink, self.job):
            folder.mkdir(exist_ok=True, mode=0o700)

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def postgres(self) -> Path:
        return self.home / "postgres"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def flink(self) -> Path:
        return self.home / "flink"

    @property
    def job(self) -> Path:
        return self.home / "job"

    @property
    def lock(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def settings(self) -> Path:
        return self.run / "settings.json"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    @property
    def timings(self) -> Path:
        return self.run / "timings.json"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets.json"

    @property
    def master_keys(self) -> Path:
        return self.home / "master-keys"

    @property
    def env_file(self) -> Path:
        return self.home / "demo.env"

    def log_of(self, component: str) -> Path:
        return self.log / f"{component}.log"


JARS = REPOSITORY / ".tools" / "jars"
FLINK_LIB = REPOSITORY / ".tools" / "flink-lib"
