"""The client for scripts: what it covers, what it tells of refusals, and when it asks again."""

from __future__ import annotations

import ast
import inspect
import io
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI
from pydantic import AliasChoices, BaseModel

import api.client
from api.client import (
    ApiError,
    BeTrace,
    Conflict,
    Invalid,
    Limited,
    NotFound,
    Refused,
    Unavailable,
)
from api.main import API_PREFIX, create_app
from api.settings import Settings

NOT_FOR_SCRIPTS = {
    "/session": "signing in",
    "/account": "people, with their passwords",
    "/invitations/accept": "people who follow a link",
    "/operator": "operators, with keys of another kind",
    "/rules/editor": "editors, as somebody types",
}
"""Paths below which nothing is for scripts, and whom it is for."""
NOT_FOR_KEYS = {("POST", "/tenant/deletion"), ("DELETE", "/tenant/deletion")}
"""What no API key may do."""
ASKING = {"ask", "do", "save"}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The application, which is not started."""
    return create_app(
        Settings.model_validate(
            {"database_url": "postgresql://betrace@127.0.0.1/none", "secret_key": "k" * 40}
        )
    )


def _modules() -> Iterator[ModuleType]:
    folder = Path(inspect.getfile(api.client)).parent
    for file in sorted(folder.glob("*.py")):
        yield import_module(f"api.client.{file.stem}")


def _calls() -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and type of the answer of every operation that the client asks for."""
    for module in _modules():
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=asking),
                    args=[ast.Constant(value=str(method)), ast.Constant(value=str(path)), *more],
                ) if asking in ASKING:
                    named = more[0] if asking == "ask" else None
                    yield method, path, _type(module, named)
                case ast.Call(
                    func=ast.Attribute(attr="pages"),
                    args=[ast.Constant(value=str(path)), named],
                ):
                    yield "GET", path, _type(module, named)
                case ast.Call(func=ast.Name(id="listen"), args=[_, ast.Constant(value=str(path))]):
                    yield "GET", path, None


def _type(module: ModuleType, named: ast.AST | None) -> Any:
    return getattr(module, named.id) if isinstance(named, ast.Name) else None


def test_every_operation_is_a_method_or_is_not_for_scripts(app: FastAPI) -> None:
    documented = {
        (method.upper(), path.removeprefix(API_PREFIX))
        for path, operations in app.openapi()["paths"].items()
        if path.startswith(f"{API_PREFIX}/")
        for method in operations
    }
    left_out = {
        (method, path)
        for method, path in documented
        if any(path == above or path.startswith(f"{above}/") for above in NOT_FOR_SCRIPTS)
    }
    covered = {(method, path) for method, path, _ in _calls()}
    assert covered == documented - left_out - NOT_FOR_KEYS


def _schema(of: type[BaseModel], mode: Any) -> dict[str, set[str]]:
    """Return the names in the JSON of a model and of all that it holds."""
    schema = of.model_json_schema(mode=mode)
    whole = {**schema.pop("$defs", {}), of.__name__: schema}
    return {name: set(part["properties"]) for name, part in whole.items() if "properties" in part}


def test_what_a_method_gives_is_what_the_api_documents(app: FastAPI) -> None:
    components = app.openapi()["components"]["schemas"]
    paths = app.openapi()["paths"]
    for method, path, answer in _calls():
        if answer is None:
            continue
        responses = paths[API_PREFIX + path][method.lower()]["responses"]
        told = next(responses[code] for code in ("200", "201", "202") if code in responses)
        name = told["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert name.rpartition("__")[2] == answer.__name__, (method, path)
        assert (
            set(components[name]["properties"]) == _schema(answer, "serialization")[answer.__name__]
        ), (method, path)


def test_every_model_reads_what_it_writes() -> None:
    answers = [answer for _, _, answer in _calls() if answer is not None]
    assert len(answers) > 80
    for model in {held for answer in answers for held in _held(answer)}:
        for name, field in model.model_fields.items():
            said = field.serialization_alias or name
            read = field.validation_alias or name
            heard = read.choices if isinstance(read, AliasChoices) else [read]
            assert said in heard, (model.__name__, name)


def _held(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    seen = set() if seen is None else seen
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for inner in _models_in(field.annotation):
                _held(inner, seen)
    return seen


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


class Replies:
    """A server that answers as it was told, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def _problem(status: int, code: str = "a.code", **headers: str) -> httpx.Response:
    return httpx.Response(
        status,
        json={
            "type": f"urn:betrace:problem:{code}",
            "title": "Refused",
            "status": status,
            "code": code,
            "detail": "A sentence.",
            "request_id": "r-1",
            "current_version": 4,
        },
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def _betrace(replies: Replies, waits: list[float] | None = None) -> BeTrace:
    return BeTrace(
        "http://betrace.test",
        "k",
        transport=httpx.MockTransport(replies),
        rest=(waits if waits is not None else []).append,
    )


KEPT = {"id": "a", "name": "n", "settings": {}, "limits": {}}
TENANT = httpx.Response(200, json={**KEPT, "id": "0b9f24cc-7f0e-4b5c-8a3a-4b7a1c1de001"})
BROKEN = httpx.ReadError("the connection broke")
UNREACHABLE = httpx.ConnectError("nobody is there")
Call = Callable[[BeTrace], object]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (412, Conflict),
        (422, Invalid),
        (500, ApiError),
        (504, ApiError),
    ],
)
def test_a_refusal_is_told_whole(status: int, kind: type[ApiError]) -> None:
    replies = Replies(_problem(status, "rule.changed"))
    with _betrace(replies) as betrace, pytest.raises(kind) as refused:
        betrace.tenant.get()
    error = refused.value
    assert type(error) is kind
    assert (error.status, error.code, error.detail) == (status, "rule.changed", "A sentence.")
    assert (error.request_id, error.members) == ("r-1", {"current_version": 4})
    assert str(error) == "A sentence. (rule.changed)"
    assert len(replies.asked) == 1


def test_what_is_no_problem_document_is_a_refusal_too() -> None:
    page = httpx.Response(502, text="<html>Bad gateway</html>")
    with (
        _betrace(Replies(*[page] * 4)) as betrace,
        pytest.raises(Unavailable, match="answered 502: <html>"),
    ):
        betrace.tenant.get()


@pytest.mark.parametrize(
    "trouble", [_problem(429), _problem(503), _problem(502), BROKEN, UNREACHABLE]
)
def test_reading_is_tried_again(trouble: httpx.Response | httpx.TransportError) -> None:
    waits: list[float] = []
    with _betrace(Replies(trouble, trouble, TENANT), waits) as betrace:
        assert betrace.tenant.get().name == "n"
    assert len(waits) == 2
    assert waits[0] <= 0.25
    assert waits[1] <= 0.5


def test_what_goes_on_failing_fails_after_four_tries() -> None:
    replies = Replies(*[BROKEN] * 4)
    with _betrace(replies) as betrace, pytest.raises(Unavailable) as failed:
        betrace.tenant.get()
    assert (failed.value.status, failed.value.code) == (0, "client.broken")
    assert len(replies.asked) == 4


def _add_note(betrace: BeTrace) -> object:
    return betrace.signals.add_note("0" * 32, "Seen.")


def _save_version(betrace: BeTrace) -> object:
    return betrace.rules.save("a", {"rule": "never { a }"}, if_version=1)


@pytest.mark.parametrize("call", [_add_note, _save_version])
@pytest.mark.parametrize("trouble", [_problem(503), BROKEN])
def test_what_may_have_been_done_is_not_done_twice(
    call: Call, trouble: httpx.Response | httpx.TransportError
) -> None:
    replies = Replies(trouble)
    with _betrace(replies) as betrace, pytest.raises(Unavailable):
        call(betrace)
    assert len(replies.asked) == 1


@pytest.mark.parametrize("trouble", [_problem(429), UNREACHABLE])
def test_what_was_certainly_not_done_is_tried_again(
    trouble: httpx.Response | httpx.TransportError,
) -> None:
    replies = Replies(trouble, _problem(409))
    with _betrace(replies) as betrace, pytest.raises(Conflict):
        _add_note(betrace)
    assert len(replies.asked) == 2


def test_the_server_says_when_to_come_back() -> None:
    waits: list[float] = []
    with _betrace(Replies(_problem(429, Retry_After="7"), TENANT), waits) as betrace:
        betrace.tenant.get()
    [wait] = waits
    assert 7.0 <= wait <= 7.25


def test_nobody_waits_for_longer_than_a_minute() -> None:
    waits: list[float] = []
    with (
        _betrace(Replies(_problem(429, Retry_After="61")), waits) as betrace,
        pytest.raises(Limited) as limited,
    ):
        betrace.tenant.get()
    assert (limited.value.retry_after_s, waits) == (61.0, [])


def test_an_id_is_one_part_of_a_path_whatever_it_holds() -> None:
    replies = Replies(_problem(404))
    with _betrace(replies) as betrace, pytest.raises(NotFound):
        betrace.rules.get("a/b?c {d}")
    assert replies.asked[0].url.raw_path == b"/api/v1/rules/a%2Fb%3Fc%20%7Bd%7D"


def test_a_file_that_breaks_off_is_not_taken_for_whole() -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadError("the connection broke")

    class Half(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return broken()

    into = io.BytesIO()
    with (
        _betrace(Replies(httpx.Response(200, stream=Half()))) as betrace,
        pytest.raises(Unavailable),
    ):
        betrace.tenant.export(into)


def test_without_an_address_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BETRACE_URL", raising=False)
    with pytest.raises(ValueError, match="BETRACE_URL is not set"):
        BeTrace()
    monkeypatch.setenv("BETRACE_URL", "http://betrace.test/")
    monkeypatch.setenv("BETRACE_API_KEY", "from the environment")
    replies = Replies(TENANT)
    with BeTrace(transport=httpx.MockTransport(replies)) as betrace:
        betrace.tenant.get()
    [asked] = replies.asked
    assert str(asked.url) == "http://betrace.test/api/v1/tenant"
    assert asked.headers["X-API-Key"] == "from the environment"
