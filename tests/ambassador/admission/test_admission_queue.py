"""The admission queue: with a fake event loop, and with a thousand connections."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.admission.admission_queue import AT_ONCE, EACH, AdmissionQueue
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from tests.ambassador.exchanges import Pair, Wire, wire
from tests.ambassador.support import GET


class Loop:
    """A fake event loop. `go` runs the scheduled callbacks, and leaves those that they schedule to the next `go`."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], None]] = deque()

    def go(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()


class Some:
    """An exchange that can wait in the queue."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.number = number
        self.over = False
        self.started = self.deadline = 0.0

    @property
    def client(self) -> Some:
        return self

    def turn_key(self) -> object:
        return self

    def give_up(self, cause: Cause) -> None:
        raise AssertionError(f"the queue without limits refuses nobody, {cause}")

    def start(self, _now: float) -> None:
        assert not self.over
        self.crowd.admission.count_start()
        self.crowd.started.append(self.number)


class Crowd:
    """An admission queue and its exchanges, in the order of their numbers."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.admission = AdmissionQueue(self.loop.soon.append)
        self.all: list[Some] = []
        self.started: list[int] = []

    def arrive(self, count: int) -> None:
        for _ in range(count):
            one = Some(self, len(self.all))
            self.all.append(one)
            if self.admission.admit(one):
                one.start(0.0)

    def end(self, count: int) -> None:
        self.admission.under_way -= min(count, self.admission.under_way)

    def leave(self, number: int) -> None:
        if number < len(self.all) and number not in self.started:
            self.all[number].over = True


def test_nobody_waits_while_few_are_under_way() -> None:
    crowd = Crowd()
    crowd.arrive(AT_ONCE)
    assert len(crowd.started) == AT_ONCE
    assert not crowd.loop.soon


def test_answers_are_looked_for_before_a_turn() -> None:
    crowd = Crowd()
    crowd.arrive(AT_ONCE + 1)
    crowd.loop.go()  # comes before the loop looks
    assert len(crowd.started) == AT_ONCE
    crowd.loop.go()
    assert len(crowd.started) == AT_ONCE + 1


def test_a_slow_upstream_gets_all_requests_without_an_answer_between() -> None:
    crowd = Crowd()
    crowd.arrive(AT_ONCE + 10 * EACH)
    crowd.loop.go()
    for turn in range(1, 11):
        crowd.loop.go()
        assert len(crowd.started) == AT_ONCE + turn * EACH
    assert not crowd.loop.soon


def test_a_turn_begins_as_many_as_have_ended() -> None:
    crowd = Crowd()
    crowd.arrive(3 * AT_ONCE)
    crowd.end(100)
    crowd.loop.go()
    crowd.loop.go()
    assert len(crowd.started) == AT_ONCE + 100


def test_one_that_fails_to_start_does_not_keep_the_others_waiting() -> None:
    crowd = Crowd()
    crowd.arrive(AT_ONCE + 2)

    def fails(_now: float) -> None:
        raise RuntimeError

    crowd.all[AT_ONCE].start = fails  # type: ignore[method-assign] # a defect, on purpose
    crowd.loop.go()
    with pytest.raises(RuntimeError):
        crowd.loop.go()
    crowd.loop.go()
    assert crowd.started[-1] == AT_ONCE + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("arrive", "end")), st.integers(1, 2 * AT_ONCE)),
        st.tuples(st.just("leave"), st.integers(0, 6 * AT_ONCE)),
        st.tuples(st.just("go"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_each_is_started_once_in_its_order_unless_it_has_left(steps: list[tuple[str, int]]) -> None:
    crowd = Crowd()
    for step, number in steps:
        if step == "arrive":
            crowd.arrive(number)
        elif step == "end":
            crowd.end(number)
        elif step == "leave":
            crowd.leave(number)
        else:
            before, waiting = len(crowd.started), sum(not one.over for one in crowd.all) - len(crowd.started)
            due = crowd.admission._turn in crowd.loop.soon
            crowd.loop.go()
            if due:
                assert len(crowd.started) - before >= min(EACH, waiting)
        if crowd.admission.waiting:
            assert crowd.loop.soon
    while crowd.loop.soon:
        crowd.loop.go()
    assert crowd.started == [one.number for one in crowd.all if not one.over]
    assert not crowd.admission.waiting
    crowd.end(len(crowd.all))
    crowd.arrive(1)
    assert crowd.started[-1] == len(crowd.all) - 1


# -- in the data path ---------------------------------------------------------------------------------------------


def test_a_request_whose_app_leaves_while_it_waits_is_never_sent() -> None:
    with Pair() as pair:
        pair.upstream.admission.under_way = AT_ONCE
        pair.client.data_received(GET)
        assert pair.upstream.admission.waiting == 1
        pair.client.connection_lost(None)
        pair.loop.run_until_complete(asyncio.sleep(0.01))
        assert not pair.there.written
        assert not pair.upstream.admission.waiting
        assert pair.upstream.admission.under_way == AT_ONCE
        assert dict(pair.upstream.counters.codes) == {499: 1}


def test_a_body_that_comes_while_its_request_waits_is_sent_with_it() -> None:
    with Pair() as pair:
        pair.upstream.admission.under_way = AT_ONCE
        pair.client.data_received(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        pair.client.data_received(b"llo")
        assert not pair.there.written
        pair.loop.run_until_complete(asyncio.sleep(0.01))
        assert pair.there.written.endswith(b"\r\n\r\nhello")
        pair.connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert pair.app.written.startswith(b"HTTP/1.1 204")
        assert pair.upstream.admission.under_way == AT_ONCE


def test_a_malformed_body_is_refused_while_its_request_waits() -> None:
    with Pair() as pair:
        pair.upstream.admission.under_way = AT_ONCE
        pair.client.data_received(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        pair.client.data_received(b"no size\r\n")
        assert pair.app.written.startswith(b"HTTP/1.1 400")
        pair.loop.run_until_complete(asyncio.sleep(0.01))
        assert not pair.there.written
        assert pair.upstream.admission.under_way == AT_ONCE


def test_whatever_ends_an_exchange_it_is_under_way_no_more() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for request, response, lost in (
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", True),  # cut
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1", b"nonsense\r\n\r\n", False),  # given up
        (upgrade, switching, False),
    ):
        with Pair() as pair:
            pair.client.data_received(request)
            assert pair.upstream.admission.under_way == 1
            pair.connection.data_received(response)
            if lost:
                pair.connection.connection_lost(None)
            assert pair.upstream.admission.under_way == 0, response
            pair.upstream.clients.open.clear()


RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CROWD = 1024


def crowd_of_clients(pair: Pair, connections: int) -> tuple[list[UpstreamConnection], list[Wire]]:
    """Send a request on each of `CROWD` connections; return those to the endpoint, and the apps' fake transports."""
    pool = [pair.upstream.pool.new_connection(pair.endpoint) for _ in range(connections)]
    for connection in pool:
        connection.connection_made(Wire())  # type: ignore[arg-type] # a transport as far as it goes
        connection.idle_since = pair.client.since
    pair.idle[:] = pool
    apps = [Wire() for _ in range(CROWD)]
    for app in apps:
        client = ClientConnection(pair.upstream)
        client.connection_made(app)  # type: ignore[arg-type] # a transport as far as it goes
        client.data_received(GET)
    return pool, apps


def passes(pair: Pair, count: int) -> None:
    for _ in range(count):
        pair.loop.call_soon(pair.loop.stop)
        pair.loop.run_forever()


def test_a_crowd_shares_few_connections_to_a_fast_upstream() -> None:
    with Pair() as pair:
        pool, apps = crowd_of_clients(pair, CROWD)
        responded: Counter[int] = Counter()
        while pair.upstream.admission.under_way or pair.upstream.admission.waiting:
            for number, connection in enumerate(pool):
                if connection.exchange is not None:
                    connection.data_received(RESPONSE)
                    responded[number] += 1
            passes(pair, 1)
        assert responded.total() == CROWD
        assert all(app.written.endswith(b"ok") for app in apps)
        assert len(responded) <= AT_ONCE + EACH


def test_a_crowd_reaches_a_slow_upstream_whole() -> None:
    with Pair() as pair:
        pool, _ = crowd_of_clients(pair, CROWD)
        passes(pair, CROWD // EACH)
        assert all(wire(connection).written for connection in pool)
