"""What pages of the manual tell people to type: scripts read out of them, to be run by tests."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path
from zipfile import ZipFile

MANUAL = Path(__file__).resolve().parents[2] / "deploy"
PAGE = (MANUAL / "evidence.md").read_text()


def script_of(page: str, heading: str) -> str:
    """Return the Python below a heading of a page. page: its name in `deploy`."""
    below = (MANUAL / page).read_text().partition(f"\n{heading}\n")[2]
    section = re.split(r"^##+ ", below, maxsplit=1, flags=re.M)[0]
    [script] = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    return script


def check_by_hand(pack: bytes, folder: Path, *, key: str, authority: Path) -> list[str]:
    """Unpack a pack and type what the page says; return what is printed.

    key: the verifier key. authority: the root certificate of the time-stamping authority.
    """
    [script] = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
    with ZipFile(io.BytesIO(pack)) as archive:
        archive.extractall(folder)
    (folder / "CA.pem").write_bytes(authority.read_bytes())
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | {"KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
