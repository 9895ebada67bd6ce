"""A port that several upstreams share."""

from __future__ import annotations

import asyncio

from sidecars.ambassador.config.shared_ports import settings_of_port
from sidecars.ambassador.proxy.routed.tables import add_routes
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import ReadinessLatch


def test_a_port_has_what_belongs_to_connections_of_the_app_and_its_upstreams_use_that() -> None:
    environ = {
        "AMBASSADOR_A_UPSTREAM": "https://a",
        "AMBASSADOR_A_ROUTE": "/a, host=a.local",
        "AMBASSADOR_B_UPSTREAM": "http://b",
        "AMBASSADOR_RATE_LIMIT": "5/s",
        "AMBASSADOR_BALANCE": "hash:source",
    }
    loop = asyncio.new_event_loop()
    ((name, group),) = load(Settings, environ).ports.items()
    port = Upstream(settings_of_port(name, group), loop, ReadinessLatch("", ""))
    members = [Upstream(each, loop, ReadinessLatch("", ""), 1.0, port.memory, port) for each in group]
    add_routes(port, members)
    for member in members:
        assert member.port is port
        assert member.clients is port.clients
        assert member.disconnects is port.disconnects
        assert member.write_round is port.write_round
        assert member.counters is not port.counters
        assert member.request_parser.authorities is port.request_parser.authorities
    assert port.limits is None  # the upstreams have them
    port.listens_on("127.0.0.1", 8500)
    assert {b"a:443", b"b:80", b"a.local", b"a.local:8500", b"localhost:8500"} <= set(port.request_parser.authorities)
    port.close()
    loop.close()
