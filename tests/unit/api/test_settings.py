"""Settings: where they come from, and what is said when one is missing."""

from __future__ import annotations

import pytest

from api.settings import SettingError, Settings, load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "BETRACE_SECRET_KEY", "BETRACE_DATABASE_WORKER_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_database_is_read_from_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://betrace_app@db/betrace")
    assert load_settings().app_dsn == "postgresql://betrace_app@db/betrace"


def test_a_missing_setting_is_named_when_it_is_needed() -> None:
    with pytest.raises(SettingError, match="DATABASE_URL is not set"):
        _ = load_settings().app_dsn


def test_an_unusable_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BETRACE_HTTP_PORT", "eighty")
    with pytest.raises(SettingError, match="HTTP_PORT"):
        load_settings()


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_missing_or_short_secret_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("BETRACE_SECRET_KEY", secret)
    with pytest.raises(SettingError, match="BETRACE_SECRET_KEY"):
        _ = load_settings().pepper


def test_secrets_are_not_shown() -> None:
    settings = Settings.model_validate(
        {"secret_key": "s" * 40, "database_url": "postgresql://u:p@h/d"}
    )
    assert "ssss" not in repr(settings)
    assert "u:p" not in repr(settings)


def test_the_worker_takes_the_same_server_with_its_own_role() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://betrace_app@db:5433/betrace"})
    assert settings.worker_dsn == "user=betrace_worker dbname=betrace host=db port=5433"


def test_the_worker_does_not_guess_a_password() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://betrace_app:pw@db/betrace"})
    with pytest.raises(SettingError, match="BETRACE_DATABASE_WORKER_URL"):
        _ = settings.worker_dsn


@pytest.mark.parametrize(
    ("url", "secure"), [("https://betrace.example", True), ("http://127.0.0.1:8080", False)]
)
def test_cookies_are_for_https_alone_where_the_site_is(url: str, *, secure: bool) -> None:
    assert Settings.model_validate({"public_url": url}).cookie_secure is secure


def test_trusted_proxies_are_networks_and_nobody_by_default() -> None:
    given = Settings.model_validate({"trusted_proxies": "10.0.0.0/8, 2001:db8::7"})
    assert [str(network) for network in given.proxies] == ["10.0.0.0/8", "2001:db8::7/128"]
    assert Settings.model_validate({}).proxies == ()


def test_a_proxy_that_is_no_network_is_named_with_its_setting() -> None:
    with pytest.raises(SettingError, match="BETRACE_TRUSTED_PROXIES: 'loadbalancer' is no"):
        _ = Settings.model_validate({"trusted_proxies": "loadbalancer"}).proxies
