"""Active health checks: the real program, and backends that turn bad and good again."""

from __future__ import annotations

from tests.ambassador.support import Ambassador, Backend, Peer, answering, backends, joined
from tests.conftest import Start
from tests.support import wait_until


class Health:
    """A backend's handler whose /healthz answers with `status`, and everything else with 200 and its name."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.status = b"200 OK"
        self.asked: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            if head.startswith(b"GET /healthz "):
                self.asked.append(head)
                peer.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % self.status)
            else:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%b" % self.name)


def unhealthy(ambassador: Ambassador) -> list[object]:
    return [each["health"] for each in ambassador.endpoints()]


def test_a_replica_whose_check_fails_gets_no_request_until_it_passes_again(start: Start) -> None:
    one, other = Health(b"a"), Health(b"b")
    with backends(one, other) as running:
        ambassador = Ambassador(start, joined(running), HEALTH_PATH="/healthz", HEALTH_INTERVAL="100ms")
        wait_until(lambda: unhealthy(ambassador) == ["healthy", "healthy"], "two healthy endpoints")
        assert b"\r\nHost: 127.0.0.1:%d\r\n" % running[0].port in one.asked[0]
        one.status = b"500 Oops"
        wait_until(lambda: unhealthy(ambassador) == ["unhealthy", "healthy"], "one unhealthy endpoint")
        assert {ambassador.ask()[2] for _ in range(20)} == {b"b"}
        (page, _) = ambassador.endpoints()
        assert page["check_error"] == "it responded with 500"
        one.status = b"302 Found"
        wait_until(lambda: unhealthy(ambassador) == ["healthy", "healthy"], "two healthy endpoints again")
        wait_until(lambda: ambassador.ask()[2] == b"a", "a request to it")
        assert ambassador.program.logged("an endpoint is unhealthy")


def test_where_there_are_checks_an_ejected_replica_comes_back_without_risking_a_request(start: Start) -> None:
    one, other = Health(b"a"), Health(b"b")
    with backends(one, other) as (first, second):
        ambassador = Ambassador(
            start, joined([first, second]), HEALTH_PATH="/healthz", HEALTH_INTERVAL="1h", EJECT_FOR="200ms",
            BALANCE="round_robin",
        )  # fmt: skip
        wait_until(lambda: unhealthy(ambassador) == ["healthy", "healthy"], "the first checks")
        first.stop()
        assert {ambassador.ask()[2] for _ in range(4)} == {b"b"}
        assert ambassador.endpoint(first)["state"] in ("ejected", "probation")
        back = Backend(one, first.port)
        try:
            wait_until(lambda: ambassador.endpoint(back)["state"] == "ready", "an active check that passes")
            assert {ambassador.ask()[2] for _ in range(4)} == {b"a", b"b"}
        finally:
            back.stop()


def test_a_tcp_upstream_is_checked_by_connecting(start: Start) -> None:
    with backends(answering(), answering()) as running:
        ambassador = Ambassador(
            start, ",".join(each.url.replace("http:", "tcp:") for each in running), HEALTH_INTERVAL="100ms"
        )
        wait_until(lambda: unhealthy(ambassador) == ["healthy", "healthy"], "two healthy endpoints")
        running[0].stop()
        wait_until(lambda: unhealthy(ambassador) == ["unhealthy", "healthy"], "one that cannot be reached")
        assert ambassador.endpoints()[0]["check_error"] == "the connection was refused"
        assert ambassador.ask()[0] == 200


def test_a_check_that_gets_no_http_or_no_answer_has_failed(start: Start) -> None:
    def talking(peer: Peer) -> None:
        peer.head()
        peer.send(b"SSH-2.0-x\r\n")
        peer.rest()

    def hanging(peer: Peer) -> None:
        peer.rest()

    with backends(answering(), talking, hanging) as running:
        ambassador = Ambassador(start, joined(running), HEALTH_PATH="/", HEALTH_INTERVAL="100ms")
        wait_until(lambda: unhealthy(ambassador) == ["healthy", "unhealthy", "unhealthy"], "the first checks")
        errors = [each["check_error"] for each in ambassador.endpoints()]
        assert errors == ["", "its first line is not a status line of HTTP/1.1", "no response came in time"]
