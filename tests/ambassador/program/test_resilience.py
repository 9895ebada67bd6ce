"""The real program with replicas that fail in many ways, seen from the app."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

import pytest

from tests.ambassador.support import Ambassador, Backend, Peer, answering, backends, joined, load, with_status
from tests.conftest import Start
from tests.support import wait_until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


def hanging(peer: Peer) -> None:
    peer.rest()


def test_a_replica_that_answers_503_is_not_noticed_and_left_alone(start: Start) -> None:
    with backends(answering(), with_status(b"503 Service Unavailable"), answering()) as running:
        ambassador = Ambassador(start, joined(running), BALANCE="round_robin", EJECT_FOR="1h")
        assert load(ambassador, clients=8, until=lambda count: count > 1000) == []
        assert ambassador.endpoint(running[1])["state"] == "ejected"
        assert ambassador.metric("ambassador_upstream_retries_total") >= 5


def test_a_post_is_never_repeated_and_its_503_arrives_as_it_is(start: Start) -> None:
    with backends(with_status(b"503 Busy", b"Retry-After: 1\r\n"), answering()) as running:
        ambassador = Ambassador(start, joined(running), BALANCE="round_robin", EJECT_AFTER="100")
        (status, head, body), _ = sorted((ambassador.ask(POST) for _ in range(2)), reverse=True)
        assert (status, body) == (503, b"bad\n")
        assert b"Retry-After: 1\r\n" in head
        assert ambassador.metric("ambassador_upstream_retries_total") == 0


def test_when_every_replica_answers_503_the_app_gets_that_answer(start: Start) -> None:
    with backends(*[with_status(b"503 Busy")] * 2) as running:
        ambassador = Ambassador(start, joined(running))
        status, _, body = ambassador.ask()
        assert (status, body) == (503, b"bad\n")
        assert ambassador.metric("ambassador_upstream_retries_total") == 2


def test_a_retry_after_of_the_only_replica_is_not_cut_short(start: Start) -> None:
    with backends(with_status(b"503 Busy", b"Retry-After: 60\r\n")) as running:
        ambassador = Ambassador(start, joined(running))
        assert ambassador.ask()[0] == 503
        assert ambassador.metric("ambassador_upstream_retries_total") == 0


def test_a_status_that_is_not_named_is_passed_on(start: Start) -> None:
    with backends(with_status(b"500 Oops")) as running:
        ambassador = Ambassador(start, joined(running))
        assert ambassador.ask()[0] == 500
        assert ambassador.metric("ambassador_upstream_retries_total") == 0


def test_a_hanging_replica_costs_a_try_timeout(start: Start) -> None:
    with backends(hanging, answering()) as running:
        ambassador = Ambassador(start, joined(running), BALANCE="round_robin", TRY_TIMEOUT="500ms")
        assert load(ambassador, clients=4, until=lambda count: count > 300) == []


def test_a_try_that_cannot_be_repeated_is_waited_for(start: Start) -> None:
    served = threading.Event()

    def slow(peer: Peer) -> None:
        while peer.head():
            peer.exactly(2)
            served.wait(1.0)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    with backends(slow) as running:
        ambassador = Ambassador(start, joined(running), TRY_TIMEOUT="100ms")
        assert ambassador.ask(POST)[2] == b"slow"


def test_a_body_that_is_larger_than_the_retry_buffer_is_not_sent_again(start: Start) -> None:
    seen: Counter[str] = Counter()

    def breaking(peer: Peer) -> None:
        peer.head()
        peer.exactly(3000)
        seen["put"] += 1

    put = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
    with backends(breaking, breaking) as running:
        ambassador = Ambassador(start, joined(running), RETRY_BUFFER="2KiB")
        assert ambassador.ask(put)[0] == 502
        assert seen["put"] == 1
        larger = Ambassador(start, joined(running), RETRY_BUFFER="4KiB")
        assert larger.ask(put)[0] == 502
        assert seen["put"] == 4


def test_an_ejected_replica_comes_back_by_one_request(start: Start) -> None:
    with backends(answering(b"a"), answering(b"b")) as (one, other):
        ambassador = Ambassador(start, f"{one.url},{other.url}", BALANCE="round_robin", EJECT_FOR="300ms")
        assert {ambassador.ask()[2] for _ in range(4)} == {b"a", b"b"}
        one.stop()
        assert [ambassador.ask()[2] for _ in range(4)] == [b"b"] * 4
        assert ambassador.endpoint(one)["state"] in ("ejected", "probation")  # on a busy machine its time may be over
        wait_until(lambda: ambassador.endpoint(one)["state"] == "probation", "the end of its time")
        back = Backend(answering(b"a"), one.port)
        try:
            assert ambassador.ask()[2] == b"a"
            assert ambassador.endpoint(one)["state"] == "ready"
        finally:
            back.stop()


@pytest.mark.parametrize("kind", ["header", "cookie"])
def test_a_hash_keeps_a_user_with_one_replica(start: Start, kind: str) -> None:
    line = b"X-User: %b\r\n" if kind == "header" else b"Cookie: a=b; user=%b\r\n"
    with backends(*[answering(body) for body in (b"a", b"b", b"c")]) as running:
        ambassador = Ambassador(
            start, joined(running), BALANCE=f"hash:{kind}:{'x-user' if kind == 'header' else 'user'}"
        )
        seen = {
            user: {ambassador.ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (line % user))[2] for _ in range(2)}
            for user in (b"user%d" % number for number in range(40))
        }
        assert all(len(bodies) == 1 for bodies in seen.values())
        assert len(set.union(*seen.values())) == 3


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_a_hash_of_the_source_keeps_an_address_of_the_app_with_one_replica(start: Start, scheme: str) -> None:
    with backends(*[answering(body) for body in (b"a", b"b", b"c")]) as running:
        upstream = joined(running).replace("http:", f"{scheme}:")
        ambassador = Ambassador(start, upstream, BALANCE="hash:source")

        def ask(source: str) -> bytes:
            with socket.create_connection(("127.0.0.1", ambassador.port), 10, source_address=(source, 0)) as own:
                peer = Peer(own)
                peer.send(GET)
                return peer.response()[2]

        seen = {source: {ask(source) for _ in range(2)} for source in (f"127.0.1.{each}" for each in range(1, 41))}
        assert all(len(bodies) == 1 for bodies in seen.values())
        assert len(set.union(*seen.values())) == 3


def test_weights_share_the_load(start: Start) -> None:
    with backends(answering(b"light"), answering(b"heavy")) as (light, heavy):
        upstream = f"{light.url},{heavy.url};weight=3"
        ambassador = Ambassador(start, upstream, BALANCE="round_robin")
        bodies = Counter(ambassador.ask()[2] for _ in range(40))
        assert bodies == {b"light": 10, b"heavy": 30}


def test_a_slow_replica_gets_less_to_do(start: Start) -> None:
    def slow(peer: Peer) -> None:
        while peer.head():
            time.sleep(0.25)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    with backends(answering(), slow, answering()) as running:
        ambassador = Ambassador(start, joined(running))
        assert load(ambassador, clients=4, until=lambda count: count > 600) == []
        assert ambassador.endpoint(running[1])["requests"] < 120
