"""The settings of keys: which sources they make, and what is refused at the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from api.keyring.config import KeySettings, key_config
from api.settings import SettingError, Settings, load_settings
from tests.support.keys import MASTER
from udfs.keysource.providers import VaultAccess


def settings_of(**values: str) -> KeySettings:
    return KeySettings.model_validate(values)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BETRACE_KEYS_PROVIDER", "VAULT_ADDR", "VAULT_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_provider_there_are_no_keys() -> None:
    assert key_config(settings_of(keys_master=MASTER)) is None


def test_the_first_makes_keys_and_those_of_before_are_read() -> None:
    config = key_config(
        settings_of(
            keys_provider="aws", keys_before="local, aws", keys_aws_key="k", keys_master=MASTER
        )
    )
    assert config is not None
    assert config.providers == ("aws", "local")


def test_vault_is_found_by_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example:8200")
    monkeypatch.setenv("VAULT_TOKEN", "t")
    monkeypatch.setenv("BETRACE_KEYS_PROVIDER", "vault-transit")
    config = load_settings().keys
    assert config is not None
    assert config.vault == VaultAccess("https://vault.example:8200", "t")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"keys_provider": "gcp"}, "'gcp' is none of"),
        ({"keys_provider": "local"}, "BETRACE_KEYS_MASTER_FILE"),
        (
            {"keys_provider": "local", "keys_master": MASTER, "keys_master_file": "/f"},
            "one of both",
        ),
        ({"keys_provider": "local", "keys_master": "m:secret"}, "not in hex"),
        ({"keys_provider": "local", "keys_master_file": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"keys_provider": "aws"}, "BETRACE_KEYS_AWS_KEY"),
        ({"keys_provider": "vault-kv"}, "BETRACE_KEYS_VAULT_ADDRESS"),
        (
            {"keys_provider": "vault-transit", "keys_vault_address": "http://v"},
            "BETRACE_KEYS_VAULT_TOKEN",
        ),
        ({"keys_provider": "local", "keys_master": MASTER, "keys_before": "aws"}, "AWS_KEY"),
    ],
)
def test_half_a_setting_is_refused(values: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        _ = Settings.model_validate(values).keys


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "masters"
    file.write_text(MASTER)
    file.chmod(0o644)
    with pytest.raises(SettingError, match="chmod 600"):
        _ = Settings.model_validate({"keys_provider": "local", "keys_master_file": str(file)}).keys


def test_secrets_are_not_shown() -> None:
    settings = Settings.model_validate(
        {"keys_provider": "local", "keys_master": MASTER, "keys_vault_token": "hvs.secret"}
    )
    for shown in (repr(settings), repr(settings.keys)):
        assert MASTER.split(":")[1] not in shown
        assert "hvs.secret" not in shown


def test_no_client_of_a_key_service_is_loaded_with_the_settings() -> None:
    program = (
        "import sys, api.settings, api.keyring.wiring;"
        "print([name for name in ('boto3', 'hvac') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout == "[]\n"
