"""API4:2023 Unrestricted resource consumption: sizes, counts and rates have bounds."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from tests.integration.api.conftest import Caller


@pytest.mark.parametrize("path", ["rules", "signals", "keys", "backtests", "audit"])
async def test_a_page_has_a_largest_size(path: str, caller: Caller) -> None:
    answer = await caller.client.get(f"/api/v1/{path}", params={"limit": "1000000"})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")


async def test_a_rule_has_a_longest_text(caller: Caller) -> None:
    text = "when { a } never { " + " or ".join(["b"] * 100_000) + " }"
    answer = await caller.client.post("/api/v1/rules/validate", json={"rule": text})
    assert answer.status_code in (200, 413, 422)
    assert answer.status_code != 200 or not answer.json()["valid"]


async def test_a_rule_in_yaml_does_not_unfold_into_the_memory(caller: Caller) -> None:
    layers = ["a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]"]
    for n in range(1, 10):
        layers.append(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]")
    answer = await caller.client.post(
        "/api/v1/rules", content="\n".join(layers), headers={"content-type": "application/yaml"}
    )
    assert answer.status_code in (400, 413, 422)


async def test_every_counted_answer_says_what_is_left(app: FastAPI, caller: Caller) -> None:
    answer = await caller.client.get("/api/v1/rules")
    assert answer.headers["ratelimit-policy"] == '"tenant";q=1000;w=60, "key";q=1000;w=60'
