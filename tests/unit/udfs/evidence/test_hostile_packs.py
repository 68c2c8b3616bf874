"""Packs that are made to do harm: both verifiers say why they do not read them, and never break."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from tests.support.evidence import a_log
from tests.support.evidence_attacks import InMemory
from tests.support.evidence_opened import Opened
from tests.support.evidence_verifiers import Case, assert_javascript_says, codes
from udfs.evidence import verify

GARBAGE = random.Random(1).randbytes(5_000)


def _zipped(files: dict[str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def _bomb() -> bytes:
    pack = Opened.of(a_log())
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, content in pack.files.items():
            if name != "README.txt":
                archive.writestr(name, content)
        with archive.open("README.txt", "w") as readme:
            for _ in range(65):
                readme.write(bytes(2**20))
    return file.getvalue()


def _endless_checkpoint() -> bytes:
    pack = InMemory().whole()
    pack.files["checkpoints/000001.note"] += b"\n" * 2**20
    return pack.close(signed=True)


def _many() -> bytes:
    content = bytes(2**20)
    return _zipped({f"stamps/{number:06}.tsr": content for number in range(80)})


def _twice() -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", b"{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("manifest.json", b"{}")
    return file.getvalue()


def _encrypted() -> bytes:
    raw = bytearray(_zipped({"manifest.json": b"{}"}))
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def _damaged() -> bytes:
    pack = Opened.of(a_log())
    raw = bytearray(pack.close(signed=True))
    raw[raw.index(b'"login"') + 3] ^= 1
    return bytes(raw)


def _promising_less() -> bytes:
    """Return a zip whose manifest unpacks to more than its directory says."""
    raw = bytearray(_zipped({"manifest.json": bytes(1_000)}))
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(raw)


UNREADABLE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no zip": lambda: GARBAGE,
    "half of one": lambda: a_log().pack()[:2_000],
    "without a manifest": lambda: _zipped({"log.jsonl": b""}),
    "a manifest of nothing": lambda: _zipped({"manifest.json": b""}),
    "a manifest that is a list": lambda: _zipped({"manifest.json": b"[]"}),
    "a manifest nested deeply": lambda: _zipped({"manifest.json": b"[" * 200_000}),
    "a manifest of another format": lambda: _zipped(
        {"manifest.json": b'{"files":{},"format":"betrace.pack/2"}'}
    ),
    "a manifest with strange rows": lambda: _zipped(
        {"manifest.json": b'{"files":{"log.jsonl":null},"format":"betrace.pack/1"}'}
    ),
    "packed by another method": lambda: _zipped({"manifest.json": b"{}"}, ZIP_BZIP2),
    "encrypted": _encrypted,
    "one name twice": _twice,
    "a bomb": _bomb,
    "an endless checkpoint": _endless_checkpoint,
    "many that unpack to much": _many,
    "damaged": _damaged,
    "a file that is larger than it says": _promising_less,
}

MALFORMED: dict[str, Callable[[Opened], None]] = {
    "an endless line": lambda pack: pack.files.update({"rules.jsonl": b" " * 2_000_000}),
    "a last line without end": lambda pack: pack.files.update(
        {"payloads.jsonl": pack.files["payloads.jsonl"][:-1]}
    ),
    "a file of nothing": lambda pack: pack.files.update({"coverage.json": b""}),
    "not UTF-8": lambda pack: pack.files.update({"suppressions.jsonl": b"\xff\n"}),
    "nested deeply": lambda pack: pack.files.update({"suppressions.jsonl": b"[" * 50_000 + b"\n"}),
    "a fraction": lambda pack: pack.files.update({"suppressions.jsonl": b"1.5\n"}),
    "not a number": lambda pack: pack.files.update({"suppressions.jsonl": b"NaN\n"}),
    "a huge number": lambda pack: pack.files.update({"suppressions.jsonl": b"9" * 10_000 + b"\n"}),
    "half a character": lambda pack: pack.files.update({"suppressions.jsonl": b'"\\ud800"\n'}),
    "a head with more": lambda pack: pack.edit("pack.json", more=1),
    "an origin of another tenant": lambda pack: pack.edit("pack.json", tenant="x"),
}


def unreadable() -> Iterator[Case]:
    """Yield archives that are none, or that are dangerous."""
    for name, make in UNREADABLE.items():
        yield Case(name, make(), [a_log().verifier_key()], b"", ["pack_unreadable"], [])


@pytest.mark.parametrize("case", [*unreadable()], ids=lambda case: case.name)
def test_python_does_not_read_it(case: Case) -> None:
    result = verify.verify(io.BytesIO(case.pack))
    assert codes(result["failures"]) == ["pack_unreadable"]
    assert verify.report(result).startswith("NOT VALID")


def malformed(name: str) -> bytes:
    """Return a pack one file of which is not what it should be; the manifest is signed."""
    pack = InMemory().whole()
    MALFORMED[name](pack)
    pack.recounts = False
    return pack.close(signed=True)


@pytest.mark.parametrize("name", MALFORMED)
def test_python_tells_which_file_is_malformed(name: str) -> None:
    result = verify.verify(io.BytesIO(malformed(name)))
    assert "file_malformed" in codes(result["failures"])


def mutants(count: int, seed: int = 20) -> Iterator[bytes]:
    """Yield packs with a few bytes of one file changed, and the manifest written anew."""
    chance = random.Random(seed)
    for _ in range(count):
        pack = InMemory().whole()
        pack.recounts = False
        name = chance.choice([one for one in sorted(pack.files) if one != "manifest.json"])
        content = bytearray(pack.files[name])
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(content))
            content[at] = chance.choice([content[at] ^ 1 << chance.randrange(7), 0x30, 0x7D, 0x0A])
        if bytes(content) == pack.files[name]:
            continue
        pack.files[name] = bytes(content)
        yield pack.close(signed=False)


def edited(count: int, seed: int = 30) -> Iterator[bytes]:
    """Yield packs some lines or values of which are others, well formed and signed for."""
    chance = random.Random(seed)
    for _ in range(count):
        pack = InMemory().whole()
        pack.recounts = chance.random() < 0.8
        for _ in range(chance.randint(1, 2)):
            name = chance.choice([one for one in sorted(pack.files) if one.endswith("l")])
            lines = pack.lines(name)
            if lines:
                chance.choice(_EDITS)(chance, lines)
            pack.put(lines, name)
        try:
            yield pack.close(signed=True)
        except (KeyError, IndexError, TypeError):
            continue  # what was edited cannot be counted any more


def _sealed(pack: bytes) -> dict[str, bytes]:
    """Return the files that nobody can change and have signed again, the log's own key apart."""
    with ZipFile(io.BytesIO(pack)) as archive:
        names = [one for one in archive.namelist() if one.startswith("checkpoints/")]
        return {name: archive.read(name) for name in [*names, "log.jsonl", "payloads.jsonl"]}


def _drop(chance: random.Random, lines: list[Any]) -> None:
    del lines[chance.randrange(len(lines))]


def _repeat(chance: random.Random, lines: list[Any]) -> None:
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))


def _swap(chance: random.Random, lines: list[Any]) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _change(chance: random.Random, lines: list[Any]) -> None:
    """Give one value within a line another one, of its own kind or not."""
    target = chance.choice(lines)
    while True:
        key = chance.choice([*target] if isinstance(target, dict) else [*range(len(target))])
        inner = target[key]
        if not isinstance(inner, dict | list) or not inner:
            break
        target = inner
    near = [inner + 1, max(0, inner - 1)] if type(inner) is int else [f"{inner}0"]
    target[key] = chance.choice([*near, 0, 2**53, -1, True, None, "", "x", [], {}, ["é"]])


_EDITS = (_drop, _repeat, _swap, _change, _change, _change)


def test_both_say_the_same_of_whatever_comes(tmp_path: Path) -> None:
    key = [a_log().verifier_key()]
    cases = [*unreadable()]
    packs = [*map(malformed, MALFORMED), *mutants(80), *edited(80)]
    for number, pack in enumerate(packs):
        result = verify.verify(io.BytesIO(pack), verify.Asked(key))
        failures, warnings = codes(result["failures"]), codes(result["warnings"])
        assert failures or _sealed(pack) == _sealed(InMemory().whole().close(signed=True)), number
        cases.append(Case(f"mutant {number}", pack, key, b"", failures, warnings))
    assert_javascript_says(cases, tmp_path)


def test_a_damaged_archive_is_told_of_or_holds_what_it_held() -> None:
    chance, pack, key = random.Random(40), a_log().pack(), [a_log().verifier_key()]
    directory = pack.index(b"PK\x01\x02")
    for _ in range(400):
        damaged = bytearray(pack[: chance.choice([len(pack)] * 9 + [chance.randrange(len(pack))])])
        for _ in range(chance.randint(1, 3)):
            at = chance.choice(
                [chance.randrange(len(pack)), chance.randrange(directory, len(pack))]
            )
            if at < len(damaged):
                damaged[at] = chance.randrange(256)
        result = verify.verify(io.BytesIO(damaged), verify.Asked(key))
        assert result["failures"] or _sealed(bytes(damaged)) == _sealed(pack)


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    log = a_log()
    pack = Opened.of(log)
    pack.edit("pack.json", origin=f"\x1b[2J/{log.tenant}")
    told = verify.report(verify.verify(io.BytesIO(pack.close(signed=False))))
    assert "\x1b" not in told


def test_a_name_that_leads_out_is_never_written_anywhere(tmp_path: Path) -> None:
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        for name, content in InMemory().whole().files.items():
            archive.writestr(name, content)
        archive.writestr(ZipInfo("../../../../tmp/outside"), b"x")
    result = verify.verify(io.BytesIO(file.getvalue()))
    assert codes(result["failures"]) == ["file_unexpected"]
