"""Master keys: how they are written, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from udfs.keysource.masters import new_master, read_master_file, read_masters
from udfs.keysource.trouble import MasterRefused

GOOD = "9f1c5d27a3b8e604d1720fe9c58b3a6641fd0928be73c5a01764ed9b2f8ca35d"
OTHER = "04b7e19a6cd2f85318a9730fe642cb8d5fa1360e97d84c2bb0953e7af1268dc4"


def test_the_last_one_wraps_and_those_before_unwrap() -> None:
    masters = read_masters(
        f"# made at first start\n2026-11 {GOOD}\n2027-02 {OTHER}  # new\n", where="f"
    )
    assert masters.newest == "2027-02"
    assert dict(masters.by_id) == {
        "2026-11": bytes.fromhex(GOOD),
        "2027-02": bytes.fromhex(OTHER),
    }


def test_a_variable_holds_several_between_commas() -> None:
    masters = read_masters(f"a:{GOOD}, b:{OTHER}", where="BETRACE_KEYS_MASTER")
    assert (masters.newest, list(masters.by_id)) == ("b", ["a", "b"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no master key"),
        ("# nothing\n", "no master key"),
        (GOOD, "no id with a key"),
        (f"m {GOOD[:-2]}", "31 bytes"),
        (f"m {GOOD}00", "33 bytes"),
        ("m secret", "not in hex"),
        (f"m {GOOD}\nm {OTHER}", "two master keys"),
        (f"m {'00' * 32}", "made up"),
        (f"m {'a1b2c3d4' * 8}", "made up"),
        (f"m {bytes(range(200, 232)).hex()}", "made up"),
        (f"m {b'change-me-change-me-change-me-32'.hex()}", "made up"),
    ],
)
def test_an_unfit_one_is_refused(text: str, problem: str) -> None:
    with pytest.raises(MasterRefused, match=problem) as refused:
        read_masters(text, where="the place")
    assert "the place" in str(refused.value)
    assert refused.value.next_step
    assert GOOD not in str(refused.value)


def test_those_that_are_drawn_are_fit() -> None:
    text = "\n".join(new_master(f"m{n}") for n in range(1_000))
    assert len(read_masters(text, where="drawn").by_id) == 1_000


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_file_of_its_owner_is_read(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "masters"
    file.write_text(f"m {GOOD}\n")
    file.chmod(mode)
    assert read_master_file(file).newest == "m"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o666, 0o777])
def test_a_file_that_is_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "masters"
    file.write_text(f"m {GOOD}\n")
    file.chmod(mode)
    with pytest.raises(MasterRefused, match=f"mode {mode:04o}"):
        read_master_file(file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "masters"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(MasterRefused, match=str(file)):
        read_master_file(file)


def test_keys_are_not_shown() -> None:
    assert repr(bytes.fromhex(GOOD)) not in repr(read_masters(f"m {GOOD}", where="f"))
