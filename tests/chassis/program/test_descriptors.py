"""The reserve of file descriptors in real programs."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from sidecars.chassis.runtime import descriptors
from tests.conftest import Start
from tests.support import PATIENCE, Program, free_port, get, wait_until

DEMO = "tests.chassis.programs"


@pytest.fixture
def starving(start: Start) -> tuple[Program, str]:
    """Start a program that opens every free descriptor, with a low limit of them."""
    port = free_port()
    program = start(DEMO, DEMO_DO="starve", DEMO_ADMIN_LISTEN=f"127.0.0.1:{port}", OPEN_FILES="60 60")
    program.wait_logged("starving")
    return program, f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(("soft", "hard"), [(64, 400), (400, 400), (40, 40)])
def test_a_service_raises_its_soft_limit_and_says_so(start: Start, soft: int, hard: int) -> None:
    port = free_port()
    program = start(DEMO, DEMO_DO="admin", DEMO_ADMIN_LISTEN=f"127.0.0.1:{port}", OPEN_FILES=f"{soft} {hard}")
    program.wait_ready(port)

    page = get(f"http://127.0.0.1:{port}/status").json()["descriptors"]

    expected = descriptors.descriptor_limits(hard)
    assert page.pop("open") > 3
    assert page == {"soft_limit": expected.soft, "hard_limit": hard, "reserve": expected.reserve}
    limit = Path(f"/proc/{program.process.pid}/limits").read_text().partition("Max open files")[2].split()
    assert limit[:2] == [str(expected.soft), str(hard)]


def test_the_admin_port_answers_while_no_descriptor_is_left(starving: tuple[Program, str]) -> None:
    program, url = starving
    for _ in range(100):  # far more often than there are descriptors: each comes back to the reserve
        assert get(f"{url}/livez").text == "alive\n"

    assert get(f"{url}/").text.startswith("<!doctype html>"), "a page whose code is loaded now"
    metrics = get(f"{url}/metrics").text
    assert 'sidecar_resource_exhausted_total{resource="descriptors"}' in metrics
    assert "process_open_fds" in metrics, "a page that is read from files"
    assert get(f"{url}/status").json()["taken"] > 20
    assert program.stop() == 0


def test_it_is_logged_but_not_for_every_connection(starving: tuple[Program, str]) -> None:
    program, url = starving
    for _ in range(50):
        get(f"{url}/livez")
    program.stop()

    told = [line for line in program.logs if "no file descriptor is free" in line["msg"]]
    assert told
    assert len(told) < 40


def test_idle_connections_that_hold_the_whole_reserve_are_closed_for_a_probe(starving: tuple[Program, str]) -> None:
    _, url = starving
    where = httpx.URL(url)
    with ExitStack() as stack:
        for _ in range(2 * descriptors.RESERVE):
            stack.enter_context(socket.create_connection((where.host, where.port or 0), timeout=PATIENCE))

        def responded() -> bool:
            try:
                return get(f"{url}/livez").is_success
            except httpx.TransportError:
                return False

        wait_until(responded, "a response")
