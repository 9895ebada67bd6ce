"""The data path without sockets: both protocols on fake transports, so that each split of the bytes is exact."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.tunnel import TunnelEnd
from tests.ambassador.exchanges import REQUESTS, RESPONSES, Pair, Wire, parse, pieces, read, tunnel_end, tunnels, wire


@pytest.mark.parametrize("message", REQUESTS)
def test_a_request_means_the_same_upstream_wherever_it_was_split(message: bytes) -> None:
    expected = None
    for at in range(len(message)):
        with Pair() as pair:
            for piece in pieces(message, [at]):
                pair.client.data_received(piece)
            got = read(h11.SERVER, pair.there.written)
        expected = expected or got
        assert got == expected, at
    assert expected is not None
    assert expected[0][0] == b"/a"


@pytest.mark.parametrize("message", RESPONSES)
def test_a_response_means_the_same_to_the_app_wherever_it_was_split(message: bytes) -> None:
    expected = None
    for at in range(len(message)):
        with Pair() as pair:
            pair.client.data_received(REQUESTS[0])
            for piece in pieces(message, [at]):
                pair.connection.data_received(piece)
            got = read(h11.CLIENT, pair.app.written)
            assert not pair.app.closing
            assert pair.client.exchange is None
        expected = expected or got
        assert got == expected, at


@given(
    body=st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    chunked=st.booleans(),
    up=st.lists(st.integers(0, 600), max_size=8),
    down=st.lists(st.integers(0, 600), max_size=8),
)
def test_bodies_arrive_as_h11_sent_them(*, body: list[bytes], chunked: bool, up: list[int], down: list[int]) -> None:
    content = b"".join(body)
    framing = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", str(len(content)))]
    app, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    request = app.send(h11.Request(method="PUT", target="/", headers=[("Host", "a"), *framing])) or b""
    request += b"".join(app.send(h11.Data(data=each)) or b"" for each in body) + (app.send(h11.EndOfMessage()) or b"")
    with Pair() as pair:
        for piece in pieces(request, up):
            pair.client.data_received(piece)
        assert read(h11.SERVER, pair.there.written)[-1][0] == content
        server.receive_data(pair.there.written)
        while not isinstance(server.next_event(), h11.EndOfMessage):
            pass
        response = server.send(h11.Response(status_code=200, headers=framing)) or b""
        response += b"".join(server.send(h11.Data(data=each)) or b"" for each in body)
        response += server.send(h11.EndOfMessage()) or b""
        for piece in pieces(response, down):
            pair.connection.data_received(piece)
        assert read(h11.CLIENT, pair.app.written, b"PUT")[-1][0] == content
        assert pair.idle == [pair.connection]
        assert pair.endpoint.pending == 0


@given(st.lists(st.integers(0, 400), max_size=10), st.integers(1, 6))
def test_pipelined_requests_reach_the_upstream_one_at_a_time(cuts: list[int], count: int) -> None:
    message = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count))
    with Pair() as pair:
        for piece in pieces(message, cuts):
            pair.client.data_received(piece)
        for number in range(count):
            assert pair.there.written.count(b"GET /") == number + 1
            pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        responses = pair.app.written.split(b"\r\n\r\n")[1:]
        assert [response[:1] for response in responses] == [b"%d" % number for number in range(count)]


def test_the_upstream_is_not_read_while_the_app_does_not_read() -> None:
    with Pair() as pair:
        pair.client.data_received(REQUESTS[0])
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        states = [pair.there.paused]
        pair.client.pause_writing()
        states.append(pair.there.paused)
        pair.client.resume_writing()
        states.append(pair.there.paused)
        pair.client.pause_writing()
        pair.connection.data_received(b"defghij")
        states.append(pair.there.paused)  # idle now, it must be able to say that it ends
        assert states == [False, True, False, False]
        pair.client.data_received(REQUESTS[0])
        assert pair.there.written.count(b"GET ") == 1  # the next response would have no place to go
        pair.client.data_received(b"x" * 100_000)
        assert pair.app.paused


def test_requests_that_waited_for_the_app_to_read_go_on_when_it_does() -> None:
    with Pair() as pair:
        pair.client.pause_writing()
        pair.client.data_received(REQUESTS[0])
        pair.client.data_received(REQUESTS[0])
        assert pair.there.written == b""
        pair.client.resume_writing()
        assert pair.there.written.count(b"GET ") == 1


def test_a_connection_whose_upstream_broke_off_the_body_is_closed_and_not_reused() -> None:
    with Pair() as pair:
        pair.client.data_received(REQUESTS[0])
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        pair.connection.connection_lost(None)
        assert pair.app.closing
        assert pair.idle == []
        assert pair.endpoint.pending == 0


def test_a_get_with_a_body_does_not_share_its_connection() -> None:
    """An upstream that ignores such a body would read it as the next request."""
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        pair.connection.data_received(RESPONSES[0])
        assert pair.idle == []
        assert pair.there.closing
        assert not pair.app.closing


def test_bytes_on_an_idle_connection_end_it() -> None:
    with Pair() as pair:
        pair.connection.data_received(RESPONSES[0])
        assert pair.there.closing
        assert pair.idle == []


# -- an app that does not take its response ----------------------------------------------------------------------


def test_an_answer_is_not_cut_short_because_its_connection_is_old() -> None:
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        pair.connection.data_received(RESPONSES[0])
        assert pair.app.closing
        pair.app.unsent = 50_000
        pair.client.tick(pair.client.since + 10)
        assert not pair.app.aborted


def test_an_app_that_takes_nothing_of_its_answer_is_cut_off_after_the_idle_timeout() -> None:
    with Pair() as pair:
        pair.client.data_received(REQUESTS[0])
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        pair.client.pause_writing()
        begun = pair.client.since
        limit = pair.upstream.settings.idle_timeout
        pair.app.unsent = 50_000
        pair.client.tick(begun)
        pair.client.tick(begun + limit - 1)
        pair.app.unsent = 40_000  # it has taken a little
        pair.client.tick(begun + limit)
        pair.client.tick(begun + 2 * limit - 1)
        states = [pair.app.aborted]
        pair.client.tick(begun + 2 * limit + 0.01)
        states.append(pair.app.aborted)
        assert states == [False, True]
        assert pair.there.aborted
        assert pair.endpoint.pending == 0


def test_pipelined_requests_that_wait_are_answered_although_the_app_sends_no_more() -> None:
    with Pair() as pair:
        pair.client.pause_writing()
        pair.client.data_received(REQUESTS[0])
        assert pair.client.eof_received()
        pair.client.resume_writing()
        assert pair.there.written.count(b"GET ") == 1
        pair.connection.data_received(RESPONSES[0])
        assert b"Connection: close\r\n" in pair.app.written
        assert pair.app.closing


def test_a_last_answer_is_not_taken_back_by_requests_that_came_behind_it() -> None:
    """A close at once would reset the connection when more bytes come. So the connection sends EOF, and reads on."""
    with Pair() as pair:
        pair.client.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + REQUESTS[0])
        pair.connection.data_received(RESPONSES[0])
        assert pair.app.ended
        assert not pair.app.closing
        assert pair.there.written.count(b"GET ") == 1


# -- what is learned of an endpoint -------------------------------------------------------------------------------


def test_an_endpoint_is_well_again_when_its_answer_begins() -> None:
    """A response may never end: a stream of events, or a connection that is upgraded."""
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for request, response in ((upgrade, switched), (REQUESTS[0], stream)):
        with Pair() as pair:
            pair.upstream.balancer.on_failure(pair.endpoint, pair.client.since, pair.client.since, unreachable=True)
            assert pair.upstream.balancer.down == 1
            pair.client.data_received(request)
            pair.connection.data_received(response)
            assert pair.upstream.balancer.down == 0
            assert pair.endpoint.ejection.consecutive_failures == 0


async def test_an_endpoint_that_does_not_open_is_down_although_the_app_did_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: object) -> None:
        raise ConnectionRefusedError

    with Pair() as pair:
        monkeypatch.setattr(pair.loop, "create_connection", refused)
        pair.idle.clear()
        gone = Exchange(pair.client, pair.upstream, parse(b"GET / HTTP/1.1\r\nHost: a"))
        gone.over = True
        await pair.upstream.pool._open(pair.endpoint, gone)
        assert pair.upstream.balancer.down == 1


# -- tunnels ------------------------------------------------------------------------------------------------------


def test_a_tunnel_reads_no_more_than_the_other_side_takes_from_its_first_byte_on() -> None:
    with Pair() as pair:
        here, there = Wire(), Wire()
        ours = tunnel_end(pair.upstream, here, inbound=True)
        theirs = tunnel_end(pair.upstream, there, inbound=False)
        ours.take(b"x" * 100_000)
        there.on_write = theirs.pause_writing
        ours.join(theirs, pair.endpoint)
        assert there.written == b"x" * 100_000
        assert here.paused
        theirs.resume_writing()
        assert not here.paused


@contextlib.contextmanager
def tunnel() -> Iterator[tuple[Pair, TunnelEnd, TunnelEnd]]:
    with Pair() as pair:
        ours = tunnel_end(pair.upstream, Wire(), inbound=True)
        theirs = tunnel_end(pair.upstream, Wire(), inbound=False)
        ours.join(theirs, pair.endpoint)
        yield pair, ours, theirs


def test_a_tunnel_with_both_ends_open_may_be_silent_for_ever() -> None:
    with tunnel() as (_, ours, theirs):
        for now in (0.0, 1000.0, 100_000.0):
            ours.tick(now)
        assert not wire(ours).aborted
        assert not wire(theirs).aborted


@pytest.mark.parametrize("ends", ["app", "upstream"])
def test_a_tunnel_that_is_half_closed_before_anything_moved_has_the_whole_idle_timeout(ends: str) -> None:
    with tunnel() as (pair, ours, theirs):
        one, other = (ours, theirs) if ends == "app" else (theirs, ours)
        one.eof_received()
        limit = pair.upstream.settings.idle_timeout
        for now in (1000.0, 1000.0 + limit - 1):
            ours.tick(now)
        assert wire(other).ended
        assert not wire(ours).aborted
        assert not wire(theirs).aborted
        ours.tick(1000.0 + limit)
        assert wire(ours).aborted


def test_a_half_close_in_a_tunnel_that_was_silent_begins_the_idle_timeout_anew() -> None:
    with tunnel() as (pair, ours, theirs):
        limit = pair.upstream.settings.idle_timeout
        ours.tick(1000.0)
        ours.eof_received()
        for now in (1000.0 + 2 * limit, 1000.0 + 3 * limit - 1):
            ours.tick(now)
            assert not wire(theirs).aborted
        ours.tick(1000.0 + 3 * limit)
        assert wire(theirs).aborted


@pytest.mark.parametrize("ends", ["app", "upstream"])
def test_a_tunnel_with_one_end_closed_and_the_other_stalled_is_broken_off(ends: str) -> None:
    with tunnel() as (pair, ours, theirs):
        one, other = (ours, theirs) if ends == "app" else (theirs, ours)
        one.eof_received()
        limit = pair.upstream.settings.idle_timeout
        ours.tick(0.0)
        other.take(b"still at work")
        ours.tick(limit)
        ours.tick(2 * limit - 1)
        states = [wire(ours).aborted, wire(theirs).aborted]
        ours.tick(2 * limit)
        assert states == [False, False]
        assert wire(ours).aborted
        assert wire(theirs).aborted


def test_what_a_lost_app_left_unsent_in_a_tunnel_is_not_kept_for_ever() -> None:
    with tunnel() as (pair, ours, theirs):
        ours.eof_received()
        wire(theirs).unsent = 5000
        ours.connection_lost(None)
        assert wire(theirs).closing
        assert tunnels(pair.upstream) == {ours}
        ours.tick(0.0)
        ours.tick(pair.upstream.settings.idle_timeout)
        assert wire(theirs).aborted
        theirs.connection_lost(None)
        assert tunnels(pair.upstream) == set()


@pytest.mark.parametrize("early", [b"", b"what came before"])
def test_a_tunnel_whose_ends_were_both_lost_before_they_were_joined_leaves_nothing_counted(early: bytes) -> None:
    with Pair() as pair:
        ours = tunnel_end(pair.upstream, Wire(), inbound=True)
        theirs = tunnel_end(pair.upstream, Wire(), inbound=False)
        pair.endpoint.pending += 1
        pair.endpoint.connections += 1
        before = pair.endpoint.pending, pair.endpoint.connections
        for end in (ours, theirs):
            if early:
                end.take(early)
            end.connection_lost(None)
        ours.join(theirs, pair.endpoint)
        assert (pair.endpoint.pending, pair.endpoint.connections) == (before[0] - 1, before[1] - 1)
        assert tunnels(pair.upstream) == set()
        assert (ours.peer, theirs.peer) == (None, None)
