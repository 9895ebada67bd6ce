"""The live tail of the real program: what clients see, who is refused, and that shipping never waits for them."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, wait_for
from tests.support import PATIENCE, Program, free_port, wait_until


class Viewer:
    """A client of the live tail, over a unix socket."""

    def __init__(self, path: Path, **query: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._socket.sendall(f"GET /tail?{urlencode(query)} HTTP/1.0\r\n\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def line(self) -> dict[str, Any]:
        """Return the next line. Empty lines only show that the program lives."""
        while not (text := self._file.readline()).strip():
            assert text, "the stream has ended"
        found: dict[str, Any] = json.loads(text)
        return found

    def rest(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            return self._file.read()
        return b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def looking(path: Path, **query: str) -> Iterator[Viewer]:
    viewer = Viewer(path, **query)
    try:
        yield viewer
    finally:
        viewer.close()


def begin(start: Start, folder: Path, sink: str, **more: str) -> tuple[Program, Path, Path]:
    """Start a logshipper with a live tail. Return it, its socket and its log."""
    port, path = free_port(), folder / "tail.sock"
    program = start(
        "logshipper", **environ(folder, port, LOGSHIPPER_SINK=sink, LOGSHIPPER_TAIL_LISTEN=f"unix:{path}", **more)
    )
    program.wait_ready(port)
    return program, path, folder / "logs" / "app.log"


def free_places(path: Path) -> bool:
    with looking(path) as viewer:
        return viewer.status == 200


def test_lines_are_shown_as_they_are_read_after_redaction_and_the_stream_ends_with_the_process(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    program, path, log = begin(start, tmp_path, receiver.url, LOGSHIPPER_REDACT="email", LOGSHIPPER_FORMAT="json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with looking(path) as every, looking(path, match='"level":"ERROR"', limit="2") as errors:
        append(log, '{"level":"INFO","msg":"hello bob@example.com"}\n')
        assert every.line()["msg"] == "hello [email]"
        append(log, '{"level":"ERROR","n":1}\n{"level":"WARN","n":2}\n{"level":"ERROR","n":3}\n')
        assert [errors.line()["n"], errors.line()["n"]] == [1, 3]
        assert errors.rest() == b""
        assert program.stop() == 0
        assert [json.loads(line)["n"] for line in every.rest().split(b"\n") if line.strip()] == [1, 2, 3]
    assert [one["msg"] for one in program.logs if one["logger"] == "tail"][1:] == ["a client looks at the live tail"]
    assert "hello" not in program.stderr


def test_a_client_that_never_reads_holds_nothing_up_and_finds_a_count_when_it_reads(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    program, path, log = begin(start, tmp_path, receiver.url)
    with looking(path) as stuck, looking(path) as reader:
        for number in range(30):
            append(log, f"{number} {'x' * 40_000}\n")
            assert reader.line()["message"].startswith(f"{number} ")
        wait_until(lambda: len(receiver.messages()) == 30, "everything is shipped")
        append(log, "30 is the last\n")
        next_one = skipped = 0
        while next_one < 31:
            line = stuck.line()
            skipped += (count := line.get("skipped", 0))
            assert count or line["message"].startswith(f"{next_one} ")
            next_one += count or 1
        assert skipped
    assert program.stop() == 0


def test_four_clients_may_look_and_the_next_one_when_one_has_left(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    program, path, log = begin(start, tmp_path, receiver.url)
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(looking(path)) for _ in range(4)]
        with looking(path) as fifth:
            assert (fifth.status, fifth.rest()) == (503, b"4 clients look already: try again later\n")
        viewers[0].close()
        wait_until(lambda: free_places(path), "its place is free")
        append(log, "still here\n")
        assert viewers[3].line()["message"] == "still here"
    assert program.stop() == 0


def test_bad_requests_are_refused_in_one_sentence_and_nothing_of_it_stops_the_lines(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    program, path, log = begin(start, tmp_path, receiver.url)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE, base_url="http://x") as client:
        answers = {
            "/tail?match=(": (400, "match is not a regex: missing ), unterminated subpattern at character 1"),
            "/tail?limit=many": (400, "limit is no number from 1 to 999999999"),
            "/tail?input=shop": (400, "there is no such input: there is default"),
            "/": (404, "not found: try /tail?input=&match=&limit="),
        }
        for target, (status, sentence) in answers.items():
            response = wait_until(partial(_when_not_busy, client, target), "an answer")
            assert (response.status_code, response.text) == (status, f"{sentence}\n")
        assert client.post("/tail", content=b"x").status_code == 405
    hostile = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(60)]
    for number, each in enumerate(hostile):  # more than there are places: silent, slow, and with a head that never ends
        each.connect(str(path))
        with contextlib.suppress(ConnectionError):
            each.send((b"", b"GET /ta", b"GET /tail HTTP/1.1\r\nX: " + b"x" * 9000)[number % 3])
    append(log, "1\n")
    wait_for(receiver, "1")
    with looking(path) as viewer:
        append(log, "2\n")
        assert viewer.line()["message"] == "2"
    for each in hostile:
        each.close()
    assert program.stop() == 0


def _when_not_busy(client: httpx.Client, target: str) -> httpx.Response | None:
    """Return the response; None if the program wants to be asked later."""
    response = client.get(target)
    return None if response.status_code == 503 else response


def test_after_kill_9_the_socket_is_replaced_and_a_living_one_is_kept(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    program, path, log = begin(start, tmp_path, receiver.url)
    with looking(path) as viewer:
        append(log, "1\n")
        assert viewer.line()["message"] == "1"
        wait_for(receiver, "1")
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
        assert viewer.rest() == b""
    assert path.is_socket()

    program, _, _ = begin(start, tmp_path, receiver.url)
    (other := tmp_path / "other").mkdir()
    taken = environ(other, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_TAIL_LISTEN=f"unix:{path}")
    second = start("logshipper", **taken)
    assert second.wait() == 69
    assert f"LOGSHIPPER_TAIL_LISTEN=unix:{path}: cannot listen there" in second.logs[-1]["msg"]
    with looking(path) as viewer:
        append(log, "2\n")
        while viewer.line()["message"] == "1":
            pass  # it is shipped again if the position had not moved yet
    wait_until(lambda: receiver.messages()[-1:] == ["2"], "the new line arrives")
    assert set(receiver.messages()) == {"1", "2"}
    assert program.stop() == 0


def test_with_a_token_who_has_it_may_look_and_the_file_is_read_again(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    (folder := tmp_path / "secrets").mkdir()
    token = folder / "token"
    token.write_text("hunter22\n")
    port, admin = free_port(), free_port()
    more = {"LOGSHIPPER_TAIL_LISTEN": f"127.0.0.1:{port}", "LOGSHIPPER_TAIL_TOKEN_FILE": str(token)}
    program = start("logshipper", **environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, **more))
    program.wait_ready(admin)
    url = f"http://127.0.0.1:{port}/tail"

    def status(authorization: str | None) -> int:
        headers = {} if authorization is None else {"Authorization": authorization}
        with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=PATIENCE) as response:
            return response.status_code

    assert [status(one) for one in (None, "Bearer", "Bearer hunter2", "Basic hunter22")] == [401] * 4
    assert status("bearer hunter22") == 200
    token.write_text("changed-now\n")
    assert status("Bearer hunter22") == 401
    assert status("Bearer changed-now") == 200
    token.unlink()
    assert status("Bearer changed-now") == 401
    assert (
        program.wait_logged("no client may look: the token of the live tail cannot be read")["code"]
        == "tail-token-unusable"
    )
    assert "hunter22" not in program.stderr
    assert program.stop() == 0


def test_without_a_token_loopback_answers_no_name_that_a_stranger_may_have_rebound(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port, admin = free_port(), free_port()
    listen = {"LOGSHIPPER_TAIL_LISTEN": f"127.0.0.1:{port}"}
    program = start("logshipper", **environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, **listen))
    program.wait_ready(admin)
    url = f"http://127.0.0.1:{port}/tail"
    refused = httpx.get(url, headers={"Host": "evil.example"}, trust_env=False, timeout=PATIENCE)
    assert (refused.status_code, "DNS rebinding" in refused.text) == (403, True)
    with httpx.stream("GET", url, trust_env=False, timeout=PATIENCE) as response:
        assert response.status_code == 200
        append(tmp_path / "logs" / "app.log", "1\n")
        lines = (line for line in response.iter_lines() if line)
        assert json.loads(next(lines))["message"] == "1"
    assert program.stop() == 0
