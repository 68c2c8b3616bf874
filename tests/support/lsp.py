"""A client of the language server: JSON-RPC over the pipes of a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_COMMAND = [sys.executable, "-c", "from api.command import main; main()", "lsp"]


class Client:
    """Speaks the Language Server Protocol; what the server says by itself is kept in order."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.told: deque[dict[str, Any]] = deque()
        self.number = 0

    def ask(self, method: str, params: Any) -> Any:
        """Send a request and return its result."""
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self.number and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            self.told.append(message)

    def tell(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def diagnostics(self) -> list[dict[str, Any]]:
        """Wait for the next diagnostics and return them."""
        while True:
            message = self.told.popleft() if self.told else self._receive()
            if message.get("method") == "textDocument/publishDiagnostics":
                found: list[dict[str, Any]] = message["params"]["diagnostics"]
                return found

    def open(self, uri: str, text: str) -> list[dict[str, Any]]:
        """Open a document and return what is wrong with it."""
        document = {"uri": uri, "languageId": "betrace", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        return self.diagnostics()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the server has ended"
        found: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return found


@contextmanager
def language_server(*arguments: str, encodings: tuple[str, ...] = ()) -> Iterator[Client]:
    """Start a server, agree with it, and end it as an editor does."""
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = Client(process)
        capabilities = {"general": {"positionEncodings": list(encodings)}} if encodings else {}
        client.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        client.tell("initialized", {})
        yield client
        client.ask("shutdown", None)
        client.tell("exit", None)
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
