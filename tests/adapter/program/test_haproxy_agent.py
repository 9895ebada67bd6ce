"""HAProxy's agent-check, by sockets of the test. `test_consumers` has the real HAProxy."""

from __future__ import annotations

import socket

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import RULES, App, hang, page, repeat_endlessly
from tests.support import free_port


def line(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        received = b""
        while part := connection.recv(4096):
            received += part
        return received


def test_an_agent_check_is_one_line_whatever_is_sent(adapter: StartAdapter) -> None:
    port = free_port()
    with App({"/metrics": page()}) as app:
        running = adapter(
            app.url,
            ADAPTER_MODE="verdict",
            ADAPTER_RULES=RULES,
            ADAPTER_AGENT_LISTEN=f"127.0.0.1:{port}",
            ADAPTER_TIMEOUT="4s",
        )
        assert line(port) == b"up\n"
        app.behaviours["/metrics"] = page(up=0)
        assert line(port).startswith(b"down #db: ")
        app.behaviours["/metrics"] = hang()
        assert b"did not answer within 4s" in line(port)
        assert running.program.stop() == 0


def test_an_agent_check_that_never_reads_holds_nothing_up(adapter: StartAdapter) -> None:
    port = free_port()
    with App({"/metrics": repeat_endlessly(b"x", pause=0.05)}) as app:
        running = adapter(
            app.url, ADAPTER_MODE="verdict", ADAPTER_AGENT_LISTEN=f"127.0.0.1:{port}", ADAPTER_TIMEOUT="2s"
        )
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        assert line(port).startswith(b"down #")
        assert running.program.stop() == 0
        for each in waiting:
            each.close()
