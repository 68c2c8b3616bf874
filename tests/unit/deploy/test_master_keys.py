"""The master key of an embedded stack: drawn once, private, in the way of no other source."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from api.settings import load_settings
from deploy.embedded.assembly import environment
from deploy.embedded.layout import Layout
from deploy.embedded.secrets import Secrets, have_master_keys
from deploy.embedded.settings import External, StackSettings
from udfs.keysource.masters import read_master_file


def test_it_is_drawn_at_the_first_start_and_kept(tmp_path: Path) -> None:
    file = Layout(tmp_path).master_keys
    have_master_keys(file)
    drawn = file.read_text()
    have_master_keys(file)
    assert file.read_text() == drawn
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_master_file(file).newest.startswith("embedded-")


def test_processes_are_told_of_it_unless_another_source_is_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    settings = StackSettings(home=tmp_path)
    secrets = Secrets.load(layout.secrets)
    own = environment(settings, secrets)
    theirs = environment(replace(settings, external=External(keys_provider="aws")), secrets)
    assert (own["BETRACE_KEYS_PROVIDER"], own["BETRACE_KEYS_MASTER_FILE"]) == (
        "local",
        str(layout.master_keys),
    )
    assert not [name for name in theirs if name.startswith("BETRACE_KEYS")]


def test_what_processes_are_told_makes_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    have_master_keys(layout.master_keys)
    told = environment(StackSettings(home=tmp_path), Secrets.load(layout.secrets))
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    config = load_settings().keys
    assert config is not None
    assert config.masters == read_master_file(layout.master_keys)


def test_a_shell_that_knows_the_stack_does_not_name_another_source(tmp_path: Path) -> None:
    (tmp_path / "demo.env").write_text("export BETRACE_KEYS_PROVIDER=local\n")
    shell = {"BETRACE_HOME": str(tmp_path)}
    known = StackSettings.from_environment({**shell, "BETRACE_KEYS_PROVIDER": "local"})
    other = StackSettings.from_environment({**shell, "BETRACE_KEYS_PROVIDER": "vault-kv"})
    assert (known.external.keys_provider, other.external.keys_provider) == ("", "vault-kv")
