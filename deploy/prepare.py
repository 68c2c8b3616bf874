"""Makes a fresh checkout ready to run: Python environment, compiled engine, jars, web bundle.

`python3 deploy/prepare.py [--browser] [STEP…]`, called by the Makefile; `--browser` asks for what
only tests need as well, a browser and Redis. Standard library only,
since it runs before anything is installed. A step that was done for the same inputs is skipped.
Downloads come from the package registries that pip, Maven and npm are set up for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
FRONTEND = ROOT / "api" / "web" / "frontend"
PROVIDER = ROOT / "tests" / "support" / "oidc_provider"
OSCAL = ROOT / "tests" / "support" / "oscal"
PYTHON_VERSION = (3, 11)
JAVA_VERSIONS = range(17, 22)
NODE_VERSION = 20
FOR_TESTS = frozenset({"provider", "oscal"})
"""Steps that only tests need; --browser, which is for tests, has them made."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class CannotPrepare(Exception):
    """Something is missing or failed; the text says what to do."""


@dataclass(frozen=True)
class Step:
    """One thing to make. inputs: files that decide whether it has to be made anew;
    product: what must be there; expected_s: how long it takes on an empty machine."""

    name: str
    title: str
    inputs: tuple[Path, ...]
    product: Path
    commands: Callable[[], Iterator[list[str]]]
    expected_s: float

    @property
    def marker(self) -> Path:
        return TOOLS / "done" / self.name

    def fingerprint(self) -> str:
        digest = hashlib.sha256(str(ROOT).encode())
        for path in self.inputs:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def is_done(self) -> bool:
        return (
            self.product.exists()
            and self.marker.exists()
            and self.marker.read_text() == self.fingerprint()
        )


def environment_commands() -> Iterator[list[str]]:
    """A virtual environment; uv by its hash; everything else by uv, by hash."""
    python = str(VENV / "bin" / "python")
    if not _works(python):
        yield [sys.executable, "-m", "venv", "--clear", str(VENV)]
    uv = ROOT / "deploy" / "uv.lock"
    yield [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(uv)]
    install = [str(VENV / "bin" / "uv"), "pip"]
    lock = str(ROOT / "deploy" / "requirements.lock")
    yield [*install, "install", "--python", python, "--require-hashes", "-r", lock]
    # The project itself, from the sources where they lie; setuptools is in the lock.
    options = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    yield [*install, "install", "--python", python, *options]


def native_commands() -> Iterator[list[str]]:
    yield [str(VENV / "bin" / "python"), "-m", "deploy.native"]


def jar_commands() -> Iterator[list[str]]:
    pom = str(ROOT / "deploy" / "pom.xml")
    yield ["mvn", "--batch-mode", "-q", "-f", pom, f"-Djars={TOOLS / 'jars'}", "package"]


def web_commands() -> Iterator[list[str]]:
    npm = ["npm", "--prefix", str(FRONTEND)]
    yield [*npm, "ci", "--no-audit", "--no-fund"]
    yield [*npm, "run", "build"]


def provider_commands() -> Iterator[list[str]]:
    yield ["npm", "--prefix", str(PROVIDER), "ci", "--no-audit", "--no-fund"]


def oscal_commands() -> Iterator[list[str]]:
    pom = str(OSCAL / "pom.xml")
    yield ["mvn", "--batch-mode", "-q", "-f", pom, f"-Dschemas={TOOLS / 'oscal'}", "package"]


def steps() -> dict[str, Step]:
    sources = [path for path in (FRONTEND / "src").rglob("*") if path.is_file()]
    return {
        "env": Step(
            name="env",
            title="Python environment",
            inputs=(
                ROOT / "deploy" / "requirements.lock",
                ROOT / "deploy" / "uv.lock",
                ROOT / "pyproject.toml",
            ),
            product=VENV / "bin" / "betrace",
            commands=environment_commands,
            expected_s=60,
        ),
        "native": Step(
            name="native",
            title="compiled engine",
            inputs=(
                ROOT / "deploy" / "native.py",
                ROOT / "deploy" / "requirements.lock",
                *sorted((ROOT / "udfs").glob("*.py")),
            ),
            product=VENV / "bin" / "betrace",
            commands=native_commands,
            expected_s=40,
        ),
        "jars": Step(
            name="jars",
            title="Kafka and Flink connector",
            inputs=(ROOT / "deploy" / "pom.xml",),
            product=TOOLS / "jars" / "kafka",
            commands=jar_commands,
            expected_s=30,
        ),
        "web": Step(
            name="web",
            title="web bundle",
            inputs=tuple(
                sorted((FRONTEND / "package-lock.json", *FRONTEND.glob("*.js*"), *sources))
            ),
            product=ROOT / "api" / "web" / "static" / "dist" / "manifest.json",
            commands=web_commands,
            expected_s=20,
        ),
        "provider": Step(
            name="provider",
            title="OpenID provider of the tests",
            inputs=(PROVIDER / "package-lock.json",),
            product=PROVIDER / "node_modules" / "oidc-provider",
            commands=provider_commands,
            expected_s=10,
        ),
        "oscal": Step(
            name="oscal",
            title="schema of OSCAL for the tests",
            inputs=(OSCAL / "pom.xml",),
            product=TOOLS / "oscal" / "schema" / "json" / "oscal-ar_schema.json",
            commands=oscal_commands,
            expected_s=10,
        ),
    }


# prerequisites


@dataclass(frozen=True)
class Tool:
    """A program that must be there. debian: the package that brings it.

    without: what is lost without it, for one that can be done without.
    """

    title: str
    present: Callable[[], bool]
    debian: str
    without: str = ""


_SLOWER = "the engine is run by the interpreter, four times as slowly"


def tools(*, browser: bool) -> list[Tool]:
    needed = [
        Tool("the `venv` module of Python", _has_venv, "python3-venv"),
        Tool("a JDK, version 17 to 21", _has_java, "openjdk-17-jdk-headless"),
        Tool("Maven", lambda: bool(shutil.which("mvn")), "maven"),
        Tool(f"Node.js {NODE_VERSION} or newer", lambda: _node_version() >= NODE_VERSION, "nodejs"),
        Tool("npm", lambda: bool(shutil.which("npm")), "npm"),
        Tool("a C compiler", lambda: bool(shutil.which("cc")), "gcc libc6-dev", _SLOWER),
        Tool("the headers of Python", _has_python_headers, "python3-dev", _SLOWER),
    ]
    if browser:
        needed.append(Tool("Chromium", lambda: any(map(shutil.which, BROWSERS)), "chromium"))
        needed.append(Tool("OpenSSL", lambda: bool(shutil.which("openssl")), "openssl"))
        needed.append(Tool("Redis", lambda: bool(shutil.which("redis-server")), "redis-server"))
    return needed


def check_tools(*, browser: bool) -> None:
    """Make sure of the prerequisites; as root on Debian, install what is missing.

    Raises CannotPrepare naming everything that is missing, and how to get it.
    """
    if sys.version_info[:2] != PYTHON_VERSION:
        wanted = ".".join(map(str, PYTHON_VERSION))
        raise CannotPrepare(
            f"BeTrace needs Python {wanted}, since Flink's Python packages are pinned for it;\n"
            f"this is {sys.version.split()[0]}. Install it (Debian 12: python3 is {wanted}) and run"
            f" `make PYTHON=/path/to/python{wanted} …`."
        )
    missing = [tool for tool in tools(browser=browser) if not tool.present()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _apt_install([package for tool in missing for package in tool.debian.split()])
        missing = [tool for tool in missing if not tool.present()]
    for tool in missing:
        if tool.without:
            advice = f"apt-get install {tool.debian}"
            print(f"Without {tool.title} {tool.without} ({advice}).", flush=True)
    missing = [tool for tool in missing if not tool.without]
    if missing:
        packages = " ".join(tool.debian for tool in missing)
        raise CannotPrepare(
            "missing: " + ", ".join(tool.title for tool in missing) + "\n"
            f"On Debian: sudo apt-get install {packages}\n"
            "(where Debian's Node.js is too old, from the Node.js project)"
        )


def _apt_install(packages: Iterable[str]) -> None:
    print(f"Installing with apt-get: {' '.join(packages)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-qq"], install):
        run = subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False)
        if run.returncode != 0:
            print(f"{' '.join(command)} failed", file=sys.stderr)


def _works(python: str) -> bool:
    return _succeeds(python, "-m", "pip", "--version")


def _has_venv() -> bool:
    return _succeeds(sys.executable, "-c", "import ensurepip, venv")


def _has_python_headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").exists()


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return _major(str(Path(home) / "bin" / "java") if home else "java", "-version") in JAVA_VERSIONS


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _node_version() -> int:
    return _major("node", "--version")


def _major(*command: str) -> int:
    """First number that a program says of its version; 0 if there is no such program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r"\d+", done.stdout + done.stderr)
    return int(found.group()) if found else 0


# progress


class Timings:
    """How long each step took here the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path.exists():
            self._seconds = json.loads(path.read_text())

    def expected_s(self, step: Step) -> float:
        return self._seconds.get(step.name, step.expected_s)

    def took(self, step: Step, seconds: float) -> None:
        self._seconds[step.name] = round(seconds, 1)
        self._path.write_text(json.dumps(self._seconds))


class Ticker:
    """A line that counts seconds while a step runs; a plain line where there is no terminal."""

    def __init__(self, text: str, *, left_s: float) -> None:
        self._text = text
        self._left_s = left_s
        self._begun = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Ticker:
        if sys.stdout.isatty():
            self._thread.start()
        else:
            print(f"{self._text} … about {self._left_s:.0f} s left in all", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            print("\r\033[K", end="", flush=True)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun

    def _tick(self) -> None:
        while not self._stop.wait(0.25):
            left_s = max(1.0, self._left_s - self.elapsed_s)
            line = f"{self._text} … {self.elapsed_s:.0f} s, about {left_s:.0f} s left in all"
            print(f"\r\033[K{line}", end="", flush=True)


def make(step: Step, *, place: str, left_s: float) -> float:
    """Run a step's commands; its output goes to a log. Returns seconds. Raises CannotPrepare."""
    log = TOOLS / "log" / f"{step.name}.log"
    step.marker.unlink(missing_ok=True)
    with Ticker(f"{place} {step.title}", left_s=left_s) as ticker, log.open("w") as output:
        for command in step.commands():
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                check=False,
            )
            if done.returncode != 0:
                break
    if done.returncode != 0:
        tail = "\n".join(f"    {line}" for line in log.read_text().splitlines()[-15:])
        raise CannotPrepare(f"{step.title} failed; the end of {log}:\n{tail}")
    step.marker.write_text(step.fingerprint())
    print(f"{place} {step.title}: {ticker.elapsed_s:.0f} s", flush=True)
    return ticker.elapsed_s


def main(arguments: list[str]) -> int:
    """Make the steps named, or all of them. Exit code 1 with a message if that failed."""
    browser = "--browser" in arguments
    every = steps()
    usual = [name for name in every if browser or name not in FOR_TESTS]
    names = [name for name in arguments if name != "--browser"] or usual
    chosen = [every[name] for name in names]
    try:
        check_tools(browser=browser)
        for folder in (TOOLS / "log", TOOLS / "done"):
            folder.mkdir(parents=True, exist_ok=True)
        timings = Timings(TOOLS / "timings.json")
        due = [step for step in chosen if not step.is_done()]
        for number, step in enumerate(due):
            left_s = sum(timings.expected_s(later) for later in due[number:])
            place = f"[{number + 1}/{len(due)}]"
            timings.took(step, make(step, place=place, left_s=left_s))
    except CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
