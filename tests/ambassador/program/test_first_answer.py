"""The real program, asked before a name server has answered it."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from tests.ambassador.nameserver import name_server
from tests.ambassador.support import GET, Peer, answering, backends
from tests.conftest import Start
from tests.support import PATIENCE, free_port, get, wait_until


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_whoever_leaves_before_the_first_answer_makes_room_for_the_next_one(
    start: Start, tmp_path: Path, scheme: str
) -> None:
    with backends(answering(b"late")) as (backend,), name_server() as zone:
        zone.may_answer.clear()
        zone.set_records("orders.example", "127.0.0.1")
        resolv_conf = tmp_path / "resolv.conf"
        resolv_conf.write_text(f"nameserver 127.0.0.1:{zone.port}\noptions timeout:{PATIENCE:.0f} attempts:1\n")
        port, admin = free_port(), free_port()
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            AMBASSADOR_UPSTREAM=f"{scheme}://orders.example:{backend.port}",
            AMBASSADOR_RESOLV_CONF=str(resolv_conf),
            AMBASSADOR_TIMEOUT=f"{PATIENCE:.0f}s",
            AMBASSADOR_MAX_PENDING="1",
        )
        program.wait_logged("listening")

        def connections() -> int:
            shown = get(f"http://127.0.0.1:{admin}/status").json()["upstreams"]["default"]
            found: int = shown["connections"]
            return found

        for _ in range(3):
            with Peer(socket.create_connection(("127.0.0.1", port), PATIENCE)) as app:
                app.send(GET)
                wait_until(lambda: connections() == 1, "the app is there")
            wait_until(lambda: connections() == 0, "the app is gone")
        with Peer(socket.create_connection(("127.0.0.1", port), PATIENCE)) as app:
            app.send(GET)
            wait_until(lambda: connections() == 1, "the last app is there")
            zone.may_answer.set()
            assert app.response()[2] == b"late"


@pytest.mark.parametrize("scheme", ["http", "tcp"])
@pytest.mark.parametrize("known", [True, False])
def test_who_comes_before_the_first_answer_waits_for_it(
    start: Start,
    tmp_path: Path,
    scheme: str,
    known: bool,  # noqa: FBT001 - a case
) -> None:
    with backends(answering(b"late")) as (backend,), name_server() as zone:
        zone.may_answer.clear()
        if known:
            zone.set_records("orders.example", "127.0.0.1")
        resolv_conf = tmp_path / "resolv.conf"
        resolv_conf.write_text(f"nameserver 127.0.0.1:{zone.port}\noptions timeout:{PATIENCE:.0f} attempts:1\n")
        port, admin = free_port(), free_port()
        program = start(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            AMBASSADOR_UPSTREAM=f"{scheme}://orders.example:{backend.port}",
            AMBASSADOR_RESOLV_CONF=str(resolv_conf),
            AMBASSADOR_TIMEOUT=f"{PATIENCE:.0f}s",
        )
        program.wait_logged("listening")
        with Peer(socket.create_connection(("127.0.0.1", port), PATIENCE)) as app:
            app.send(GET)

            def waits() -> bool:
                upstream = get(f"http://127.0.0.1:{admin}/status").json()["upstreams"]["default"]
                begun: int = upstream["requests_under_way"] if scheme == "http" else upstream["connections"]
                return begun == 1

            wait_until(waits, "the app is there")
            assert backend.connections == 0
            zone.may_answer.set()
            if known:
                assert app.response()[2] == b"late"
            elif scheme == "http":
                assert app.response()[0] == 503
            else:
                with contextlib.suppress(ConnectionResetError):
                    assert app.rest() == b""
