"""API8:2023 Security misconfiguration: safe without a setting, and loud with a wrong one."""

from __future__ import annotations

import httpx
import pytest

from api.main import create_app
from api.settings import SettingError, Settings
from tests.integration.api.conftest import Caller


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/debug", "/metrics", "/.git/config", "/.env"])
async def test_nothing_is_served_that_nobody_put_there(
    path: str, anonymous: httpx.AsyncClient
) -> None:
    assert (await anonymous.get(path)).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../api/main.py",
        "/static/%2e%2e/%2e%2e/main.py",
        "/static/..%2f..%2fsettings.py",
        "/static//etc/passwd",
    ],
)
async def test_static_files_are_those_of_the_bundle(
    path: str, anonymous: httpx.AsyncClient
) -> None:
    answer = await anonymous.get(path)
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "X"])
async def test_odd_methods_are_refused(method: str, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.request(method, "/api/v1/rules")
    assert answer.status_code in (401, 405)


async def test_errors_tell_nothing_of_what_is_behind(caller: Caller) -> None:
    for answer in (
        await caller.client.get("/api/v1/signals/zzz"),
        await caller.client.get("/api/v1/rules", params={"cursor": "\u0000'"}),
        await caller.client.post("/api/v1/keys", content=b"\x00"),
    ):
        assert 400 <= answer.status_code < 500
        for word in ("Traceback", "psycopg", "select ", 'File "', "site-packages"):
            assert word not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_key": "short"},
        {"cors_origins": "*"},
        {"trusted_proxies": "nonsense"},
        {"redis_url": "http://redis"},
    ],
)
def test_a_setting_that_would_be_unsafe_stops_the_start(
    wrong: dict[str, str], settings: Settings
) -> None:
    values = {
        "database_url": settings.app_dsn,
        "secret_key": settings.pepper.decode(),
        **wrong,
    }
    with pytest.raises(SettingError):
        create_app(Settings.model_validate(values))
