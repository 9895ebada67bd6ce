"""On the Pod's network: whatever a neighbour holds open, sends or binds, each probe of a sidecar gets its answer.

All attacks of the table meet one process of each sidecar, one after another, on each of its ports. How soon an answer
comes is a figure of the benchmarks.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostile.attack import Layers
from tests.hostile.neighbourhood import Neighbourhood
from tests.hostile.settings import Service, get, serve
from tests.support import wait_until

HELD = 600  # connections: more than the admin port or the adapter's port keeps of one peer
SERVICES = ("logshipper", "ambassador", "adapter", "warcopier")
MORE_MEMORY = 64 << 20  # bytes; wide, since the measured growth is a figure of the benchmarks
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


def connect(held: ExitStack, port: int) -> socket.socket:
    made = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
    made.setblocking(False)
    return made


def send(to: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it may have been closed to make room, which is the defence
        to.send(data)


def idle(held: ExitStack, port: int) -> None:
    """Hold many connections and say nothing."""
    for _ in range(HELD):
        connect(held, port)


def unfinished(held: ExitStack, port: int) -> None:
    """Hold many connections, each with a request that never ends."""
    for _ in range(HELD):
        send(connect(held, port), HEAD)


def dripping(held: ExitStack, port: int) -> None:
    """Send requests byte by byte."""
    drips = [connect(held, port) for _ in range(100)]
    for at in range(len(HEAD)):
        for one in drips:
            send(one, HEAD[at : at + 1])


def half_closed(held: ExitStack, port: int) -> None:
    """Close our half of many connections, without a request."""
    for _ in range(HELD):
        with contextlib.suppress(OSError):
            connect(held, port).shutdown(socket.SHUT_WR)


def reset(_: ExitStack, port: int) -> None:
    """Reset many connections as soon as they are there."""
    for number in range(HELD):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            send(one, HEAD[: number % len(HEAD)])


def long_heads(held: ExitStack, port: int) -> None:
    """Send heads that never end, as fast as they are taken."""
    for _ in range(64):
        one = connect(held, port)
        send(one, HEAD)
        for number in range(64):
            send(one, b"X-%d: %s\r\n" % (number, b"x" * 1000))


def pipelines(held: ExitStack, port: int) -> None:
    """Send many requests ahead, and read no answer."""
    for _ in range(64):
        send(connect(held, port), (HEAD + b"\r\n") * 500)


def noise(held: ExitStack, port: int) -> None:
    """Send what is no HTTP: random bytes, TLS, and another protocol's greeting."""
    for _ in range(50):
        for beginning in (
            os.urandom(64),
            b"\x16\x03\x01\x02\x00\x01",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\r\n" * 100,
        ):
            send(connect(held, port), beginning)


Attacker = Callable[[ExitStack, int], None]
ATTACKERS: tuple[Attacker, ...] = (idle, unfinished, dripping, half_closed, reset, long_heads, pipelines, noise)


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A sidecar on all addresses, and room for as many descriptors as the attacks need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Neighbourhood(request.param, Layers("", landlock=True, same_user=True)) as here:
        yield serve(here, traced=False, host="")
        assert here.stop() == 0, here.program and here.program.stderr
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))


def memory(service: Service) -> int:
    """Return the resident memory of the sidecar, in bytes."""
    pages = int(Path(f"/proc/{service.program.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("attack", ATTACKERS, ids=lambda attack: attack.__name__)
def test_each_probe_is_answered_whatever_a_neighbour_does_on_the_ports(service: Service, attack: Attacker) -> None:
    before = memory(service)
    for port in filter(None, (service.admin, service.port)):
        with ExitStack() as held:
            attack(held, port)
            for path in ("/livez", "/readyz", "/metrics"):
                assert get(service.admin, path)[0] == 200
            assert memory(service) - before < MORE_MEMORY
    wait_until(lambda: get(service.admin, "/livez")[0] == 200, "alive after it")


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")]
)
@pytest.mark.parametrize("reuse", [False, True], ids=["plain", "REUSEPORT"])
def test_nobody_else_binds_a_port_of_ours(service: Service, family: int, host: str, *, reuse: bool) -> None:
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6, so there is no other loopback")
    for port in filter(None, (service.admin, service.port)):
        with socket.socket(family) as thief:
            if reuse:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                thief.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind((host, port))


def test_the_workers_of_an_ambassador_leave_no_port_to_be_joined() -> None:
    """Workers with sockets of their own would need SO_REUSEPORT, and any process of the user could join them."""
    with Neighbourhood("ambassador", Layers("", landlock=True, same_user=True)) as here:
        service = serve(here, traced=False, AMBASSADOR_WORKERS="2")
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind(("127.0.0.1", service.port))
        assert here.stop() == 0


def address_of_this_machine() -> str:
    """Return an address that is not on loopback. Nothing is sent: connect of UDP only chooses the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chosen:
        try:
            chosen.connect(("192.0.2.1", 9))  # RFC 5737
        except OSError:
            pytest.skip("this machine has no address beyond loopback")
        return str(chosen.getsockname()[0])


def test_beyond_loopback_there_are_health_words_and_metrics_only(service: Service) -> None:
    host = address_of_this_machine()
    assert get(service.admin, "/status")[0] == 200
    answered = {path: get(service.admin, path, host)[0] for path in ("/livez", "/readyz", "/metrics", "/status")}
    assert answered == {"/livez": 200, "/readyz": 200, "/metrics": 200, "/status": 403}
    assert get(service.admin, "/status", host)[1].count("\n") <= 1
