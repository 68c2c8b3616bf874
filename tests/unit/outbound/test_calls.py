"""Calls to a real server on the loopback interface, which is opened for the test or is not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.auth.addresses import parse_networks
from api.outbound.calls import CallFailed, CallLimits, CallRefused, Outbound

LOOPBACK = parse_networks(["127.0.0.1"])
NAME = "hooks.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Told: yes\r\n\r\nfine\n"


@dataclass
class Listener:
    """A server that answers everything with the same bytes, and what it was asked."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def listening(
    answer: bytes | Callable[[asyncio.StreamWriter], Awaitable[None]] = OK,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Listener]:
    listener = Listener()
    if tls is not None:
        tls.sni_callback = lambda _, name, __: listener.server_names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            listener.requests.append(head.decode())
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


class Names:
    """A resolver whose answers follow one another; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def outbound(names: Names, **given: Any) -> Outbound:
    return Outbound(resolve=names, **{"allowed": LOOPBACK, "plain_http": True, **given})


async def test_a_call_is_answered_and_keeps_the_name_of_the_host() -> None:
    async with listening() as server:
        names = Names(["127.0.0.1"])
        reply = await outbound(names).call(
            "POST", f"http://{NAME}:{server.port}/hook?a=b", headers={"x-mine": "1"}, body=b"{}"
        )
    assert (reply.status, reply.headers["x-told"], reply.body) == (200, "yes", b"fine\n")
    [asked] = server.requests
    lines = asked.lower().split("\r\n")
    assert lines[0] == "post /hook?a=b http/1.1"
    assert {f"host: {NAME}:{server.port}", "x-mine: 1", "accept-encoding: identity"} <= set(lines)


async def test_without_the_operators_leave_the_loopback_interface_is_not_called() -> None:
    async with listening() as server:
        for host in ("localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "0177.0.0.1"):
            with pytest.raises((CallRefused, CallFailed)):
                await Outbound(plain_http=True).call("GET", f"http://{host}:{server.port}/")
    assert server.requests == []


async def test_a_name_that_leads_inside_among_others_is_refused() -> None:
    async with listening() as server:
        names = Names(["8.8.8.8", "127.0.0.1"])
        with pytest.raises(CallRefused):
            await outbound(names, allowed=()).call("GET", f"http://{NAME}:{server.port}/")
    assert server.requests == []


async def test_a_name_that_leads_elsewhere_a_moment_later_gains_nothing() -> None:
    """DNS rebinding: the second answer is the inside, and nobody asks for it within a call."""
    async with listening() as outside, listening(host="127.0.0.2", port=outside.port) as inside:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        caller = outbound(names)
        url = f"http://{NAME}:{outside.port}/"
        assert (await caller.call("GET", url)).status == 200
        assert names.asked == [NAME]
        with pytest.raises(CallRefused):
            await caller.call("GET", url)
        assert (len(outside.requests), inside.requests) == (1, [])


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with listening() as inside:
        moved = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:%d/\r\n\r\n"
        async with listening(moved % inside.port) as server:
            names = Names(["127.0.0.1"])
            reply = await outbound(names).call("GET", f"http://{NAME}:{server.port}/")
    assert (reply.status, inside.requests) == (302, [])


async def test_an_answer_that_is_too_large_is_cut_off() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with listening(endless) as server:
        caller = outbound(Names(["127.0.0.1"]), limits=CallLimits(max_answer_bytes=100_000))
        with pytest.raises(CallFailed, match="more than 100000 bytes"):
            await caller.call("GET", f"http://{NAME}:{server.port}/")


async def test_an_answer_that_comes_drop_by_drop_ends_with_the_time() -> None:
    stopped = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await writer.drain()
        await stopped.wait()

    async with listening(silent) as server:
        caller = outbound(Names(["127.0.0.1"]), limits=CallLimits(total_s=0.2))
        with pytest.raises(CallFailed, match=r"within 0\.2 s"):
            await caller.call("GET", f"http://{NAME}:{server.port}/")
        stopped.set()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_what_is_no_http_is_a_failure(answer: bytes) -> None:
    async with listening(answer) as server:
        with pytest.raises(CallFailed):
            await outbound(Names(["127.0.0.1"])).call("GET", f"http://{NAME}:{server.port}/")


async def test_nobody_there_and_no_such_name_are_failures() -> None:
    async with listening() as server:
        port = server.port
    with pytest.raises(CallFailed):
        await outbound(Names(["127.0.0.1"])).call("GET", f"http://{NAME}:{port}/")

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(CallFailed, match="cannot be resolved"):
        await Outbound(resolve=unknown).call("GET", f"https://{NAME}/")


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with listening() as server:
        names = Names(["127.0.0.3", "127.0.0.1"])
        caller = outbound(names, allowed=parse_networks(["127.0.0.0/24"]))
        assert (await caller.call("GET", f"http://{NAME}:{server.port}/")).status == 200


async def test_headers_that_would_forge_others_are_not_sent() -> None:
    async with listening() as server:
        with pytest.raises(CallFailed):
            await outbound(Names(["127.0.0.1"])).call(
                "GET", f"http://{NAME}:{server.port}/", headers={"x": "a\r\nHost: evil"}
            )
    assert server.requests == []


async def test_over_tls_the_name_is_that_of_the_url_and_the_certificate_must_be_its_own(
    tmp_path: Path,
) -> None:
    trusted, server_tls = certificate_of(NAME, tmp_path)
    async with listening(tls=server_tls) as server:
        caller = outbound(Names(["127.0.0.1"]), tls=trusted)
        reply = await caller.call("GET", f"https://{NAME}:{server.port}/")
        assert (reply.status, server.server_names) == (200, [NAME])
        assert f"host: {NAME}:{server.port}" in server.requests[0].lower()
        with pytest.raises(CallFailed):
            await caller.call("GET", f"https://other.example:{server.port}/")
        with pytest.raises(CallFailed):
            await outbound(Names(["127.0.0.1"])).call("GET", f"https://{NAME}:{server.port}/")
        assert len(server.requests) == 1


def certificate_of(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's context that trusts a new certificate, and a server's that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *form))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return ssl.create_default_context(cafile=str(folder / "certificate.pem")), server
