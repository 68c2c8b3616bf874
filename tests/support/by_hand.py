"""The lines of the auditor's page that check a pack with openssl and sha256sum alone."""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path
from zipfile import ZipFile

PAGE = (Path(__file__).resolve().parents[2] / "deploy" / "evidence.md").read_text()


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
