"""The time for which a removed address is used, and the CPU of a choice: `python -m benchmarks.ambassador_names`.

- A name moves to another address while the ambassador holds an idle connection and there are no requests. The measure
  is the time from the change to the end of that connection, the longest of several; the limit is the TTL and 1 s.
- The choice of an endpoint and its response, with three endpoints and with two thousand: CPU time, the best of several.

The exit status is 1 if a figure is missed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.figures import Comparison, Figure, conclude
from sidecars.ambassador.balancing.balancer import Balancer
from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from tests.ambassador.nameserver import NameServer, name_server
from tests.ambassador.support import Backend, Peer, answering
from tests.support import free_port, wait_until

TTL = 2  # seconds
GRACE = 1.0  # seconds beyond it
MOVES = 5
CALLS, ROUNDS = 20_000, 7
FEW, MANY = 3, 2000
MOST_GROWTH = 3.0  # times
POLICIES = ("ewma", "least_request", "round_robin", "random", "hash:source")
NAME = "orders.example"


def removed_address_in_use(zone: NameServer, folder: Path) -> float:
    """Return the seconds from the change of the name to the end of the idle connection to its old address."""
    ended = threading.Event()

    def old(peer: Peer) -> None:
        answering(b"old")(peer)
        ended.set()

    port, listen, admin = free_port(), free_port(), free_port()
    there = [Backend(old, port, host="127.0.0.2"), Backend(answering(b"new"), port, host="127.0.0.3")]
    zone.set_records(NAME, "127.0.0.2", ttl=TTL)
    environ = {
        "PATH": os.environ["PATH"],
        "AMBASSADOR_UPSTREAM": f"http://{NAME}:{port}",
        "AMBASSADOR_LISTEN": f"127.0.0.1:{listen}",
        "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "AMBASSADOR_RESOLV_CONF": str(zone.resolv_conf(folder)),
    }
    program = subprocess.Popen([sys.executable, "-m", "sidecars.ambassador"], env=environ, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: text_of(f"http://127.0.0.1:{admin}/readyz"), "ready")
        assert text_of(f"http://127.0.0.1:{listen}/") == "old"
        zone.set_records(NAME, "127.0.0.3", ttl=TTL)
        began = time.monotonic()
        assert ended.wait(30), "the connection to the old address did not end"
        return time.monotonic() - began
    finally:
        program.terminate()
        program.wait()
        for backend in there:
            backend.stop()


def text_of(url: str) -> str:
    try:
        response = httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return ""
    return response.text if response.is_success else ""


def choice(policy: str, count: int) -> float:
    """Return the µs of CPU for choosing one of `count` endpoints and noting its response."""
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://a", "AMBASSADOR_BALANCE": policy}).upstreams["default"]
    balancer = Balancer(settings, random.Random(7).random)
    balancer.update([Endpoint(b"a", f"10.0.{each >> 8}.{each & 255}", 80) for each in range(count)], (), 0.0)
    keys = [b"10.1.2.%d" % each for each in range(256)] if policy.startswith("hash") else [b""]

    def once(number: int) -> None:
        now = number * 0.0001
        endpoint = balancer.choose(now, (), keys[number % len(keys)])
        assert endpoint is not None
        balancer.on_response(endpoint, 200, now, now + 0.005)

    return min(_microseconds(once) for _ in range(ROUNDS))


def _microseconds(call: Callable[[int], None]) -> float:
    began = time.process_time()
    for number in range(CALLS):
        call(number)
    return (time.process_time() - began) / CALLS * 1e6


def measure() -> tuple[list[Figure], list[Comparison]]:
    with tempfile.TemporaryDirectory() as folder, name_server() as zone:
        longest = max(removed_address_in_use(zone, Path(folder)) for _ in range(MOVES))
    figures = [Figure("dead address in use", longest, TTL + GRACE, "s", note=f"TTL {TTL} s, no traffic")]
    few = {policy: choice(policy, FEW) for policy in POLICIES}
    many = {policy: choice(policy, MANY) for policy in POLICIES}
    worst = max(POLICIES, key=lambda policy: many[policy] / few[policy])
    growth = many[worst] / few[worst]
    figures.append(Figure("choice, 2,000 endpoints / 3", growth, MOST_GROWTH, note=f"the worst of all, {worst}"))
    shown = {f"ambassador {policy}, {FEW}": few[policy] for policy in POLICIES}
    shown |= {f"ambassador {policy}, {MANY}": many[policy] for policy in POLICIES}
    return figures, [Comparison("choice of an endpoint, and its response noted", "µs", shown)]


if __name__ == "__main__":
    sys.exit(conclude("ambassador-names", *measure()))
