"""HAProxy's agent-check, by sockets of the test. `test_consumers` has the real HAProxy."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import RULES, App, hang, hold_until, page, repeat_endlessly
from tests.support import PATIENCE, free_port, wait_until


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


def test_an_agent_check_is_answered_beside_a_crowd_that_waits(adapter: StartAdapter) -> None:
    """The connections that have waited longest make room; with 256 of them a newcomer was closed without a word."""
    port = free_port()
    release = threading.Event()
    with App({"/metrics": hold_until(release, page())}) as app, contextlib.ExitStack() as stack:
        running = adapter(
            app.url, ADAPTER_MODE="verdict", ADAPTER_AGENT_LISTEN=f"127.0.0.1:{port}", ADAPTER_TIMEOUT="1m"
        )
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as newcomer:
            wait_until(lambda: running.metric("sidecar_connections_shed_total", listener="agent") >= 45, "45 were shed")
            release.set()
            assert newcomer.makefile("rb").readline() == b"up\n"


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
