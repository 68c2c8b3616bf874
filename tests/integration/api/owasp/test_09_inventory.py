"""API9:2023 Improper inventory management: what is served is described, and nothing else is."""

from __future__ import annotations

import re

import httpx
from fastapi import FastAPI

from api.auth.access import route_access


async def test_every_route_of_the_api_is_in_the_published_description(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    document = (await anonymous.get("/api/v1/openapi.json")).json()
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    served = {
        (method, route.path)
        for route in route_access(app)
        if route.path.startswith("/api/") and route.path != app.openapi_url
        for method in route.methods - {"HEAD"}
    }
    assert {each for each in described if each[1].startswith("/api/")} == served


def test_there_is_one_version_and_no_hidden_one(app: FastAPI) -> None:
    versions = {
        found[1] for route in route_access(app) if (found := re.match(r"/api/([^/]+)/", route.path))
    }
    assert versions == {"v1"}


async def test_other_versions_and_environments_are_not_there(anonymous: httpx.AsyncClient) -> None:
    for path in ("/api/v0/rules", "/api/v2/rules", "/api/rules", "/api/internal/rules", "/beta"):
        assert (await anonymous.get(path)).status_code == 404
