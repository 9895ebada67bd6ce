"""Copies for a mirror, on fake transports: what the app and its upstream see is what they see without any copy."""

from __future__ import annotations

import io
import random

import pytest

from sidecars.ambassador.proxy.beside.mirror import Share
from sidecars.ambassador.proxy.observed.observer import observe
from sidecars.chassis.runtime import logs
from tests.ambassador.exchanges import Pair, wire
from tests.ambassador.proxy.beside.pairs import MirrorPair, is_closed, response, written

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


# -- the share ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [1, 10, 33, 50, 99, 100])
def test_of_each_hundred_requests_exactly_the_share_is_chosen(percent: int) -> None:
    share = Share(percent, random.Random(percent).random)
    for _ in range(50):
        assert sum(share.takes() for _ in range(100)) == percent


def test_which_requests_are_chosen_does_not_repeat_and_no_place_is_preferred() -> None:
    share = Share(10, random.Random(1).random)
    blocks = [tuple(share.takes() for _ in range(100)) for _ in range(3000)]
    assert len(set(blocks)) > 2990
    places = [sum(block[place] for block in blocks) for place in range(100)]
    assert all(200 < count < 400 for count in places)  # 300 expected, six standard deviations


# -- what the mirror's upstream sees ------------------------------------------------------------------------------

TRACED = b"GET /a HTTP/1.1\r\nHost: a\r\ntraceparent: 00-%b-%b-01\r\nX-Request-Id: 7\r\n\r\n" % (b"a" * 32, b"b" * 16)


def test_a_copy_has_the_trace_and_the_request_id_of_the_app_though_its_upstream_writes_them_anew() -> None:
    with MirrorPair(AMBASSADOR_TRACES="context", AMBASSADOR_REQUEST_ID_HEADER="X-Request-Id") as pair:
        observe(pair.upstream, None, pair.upstream.settings)
        pair.client.data_received(TRACED)
        pair.turn()
        copy = written(pair.copy).lower()
        assert copy.count(b"\r\ntraceparent: 00-%b-%b-01\r\n" % (b"a" * 32, b"b" * 16)) == 1
        assert copy.count(b"\r\nx-request-id: 7\r\n") == 1


def test_a_copy_is_observed_as_any_request_of_the_upstream_of_the_mirror() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    shadow = {
        "AMBASSADOR_TRACES": "context",
        "AMBASSADOR_ACCESS_LOG": "all",
        "AMBASSADOR_ACCESS_LOG_FIELDS": "path,trace_id",
    }
    with MirrorPair(shadow=shadow) as pair:
        observe(pair.other, None, pair.other.settings)
        pair.client.data_received(TRACED)
        pair.turn()
        copy = written(pair.copy)
        assert copy.count(b"traceparent: ") == 1
        assert b"traceparent: 00-%b-" % (b"a" * 32) in copy
        assert b"b" * 16 not in copy  # the attempt has a span of its own
        assert b"\r\nX-Request-Id: 7\r\n" in copy
        pair.copy.data_received(response())
        assert pair.is_released
    assert '"trace_id":"%s"' % ("a" * 32) in stream.getvalue()


def test_a_copy_announces_its_own_body_whatever_the_upstream_of_the_app_is_told_of_it() -> None:
    with MirrorPair() as pair:
        pair.client.data_received(POST[:-2])
        exchange = pair.client.exchange
        assert exchange is not None
        exchange.request.announce(180)  # as AUTH=aws does for a body in signed chunks
        pair.client.data_received(POST[-2:])
        pair.turn()
        head, _, body = written(pair.copy).partition(b"\r\n\r\n")
        assert (head.count(b"\r\nContent-Length: 5\r\n"), head.count(b"Length"), body) == (1, 1, b"hello")


def test_a_response_without_end_ends_the_copy_after_a_mebibyte() -> None:
    with MirrorPair() as pair:
        pair.client.data_received(GET)
        pair.turn()
        copy = pair.copy
        copy.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(16):
            copy.data_received(b"10000\r\n%b\r\n" % (b"x" * 65536))
            pair.turn()
        assert not is_closed(copy)
        copy.data_received(b"1\r\nx\r\n")
        copy.data_received(b"1\r\nx\r\n")
        pair.turn()
        assert is_closed(copy)
        assert pair.is_released
        assert (pair.place.failures, pair.counts) == (0, {"sent": 1})


# -- the app sees nothing of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [GET, POST])
def test_the_app_has_its_whole_response_while_the_mirror_has_not_answered(request_: bytes) -> None:
    with MirrorPair() as pair:
        pair.client.data_received(request_)
        assert pair.there.written.startswith(request_[:6])  # before anything of the copy
        assert not any(map(written, pair.copies))
        pair.turn()
        assert written(pair.copy).startswith(request_[:6])
        pair.connection.data_received(response())
        assert pair.app.written.endswith(b"\r\n\r\nhello")
        assert pair.client.exchange is None
        pair.client.data_received(GET)  # the next one begins
        assert pair.there.written.count(b" /a HTTP/1.1") == 2
        assert pair.counts == {"sent": 1}


def _respond(pair: MirrorPair) -> None:
    pair.copy.data_received(response(500))


def _reset(pair: MirrorPair) -> None:
    pair.copy.connection_lost(ConnectionResetError())


def _garbage(pair: MirrorPair) -> None:
    pair.copy.data_received(b"\0\1\2\r\n\r\n")


def _never_read(pair: MirrorPair) -> None:
    pair.copy.pause_writing()


def _half(pair: MirrorPair) -> None:
    pair.copy.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")


@pytest.mark.parametrize("request_", [GET, POST])
@pytest.mark.parametrize("mirror_does", [_respond, _reset, _garbage, _never_read, _half])
def test_whatever_the_mirror_does_the_app_and_its_upstream_see_the_same_bytes(
    mirror_does: object, request_: bytes
) -> None:
    assert callable(mirror_does)
    seen = []
    for pair in (Pair(), MirrorPair(AMBASSADOR_RETRIES="3")):
        with pair:
            pair.client.data_received(request_)
            if isinstance(pair, MirrorPair):
                pair.turn()
                mirror_does(pair)
                pair.turn()
            pair.connection.data_received(response())
            seen.append((pair.there.written, pair.app.written))
            counters = pair.upstream.counters
            assert (counters.codes, counters.retries, pair.endpoint.failures) == ([(200, 1)], 0, 0)
            if isinstance(pair, MirrorPair):
                assert sum(written(each).count(b" /a HTTP/1.1") for each in pair.copies) == 1  # it is not retried
                pair.mirror.close()
                assert pair.is_released
    assert seen[0] == seen[1]


def test_a_failure_of_a_copy_counts_for_the_mirrors_upstream_alone() -> None:
    with MirrorPair() as pair:
        pair.client.data_received(GET)
        pair.connection.data_received(response())
        pair.turn()
        pair.copy.connection_lost(ConnectionResetError())
        pair.turn()
        assert pair.place.failures == 1
        assert pair.other.counters.codes == [(502, 1)]
        assert pair.upstream.counters.codes == [(200, 1)]
        assert not any(pair.upstream.counters.errors.values())
        assert pair.is_released


def test_a_mirror_without_an_address_costs_the_app_nothing() -> None:
    with MirrorPair() as pair:
        other = pair.other
        other.balancer.update([], other.endpoints, 1.0)
        other.dns_targets[0].endpoints.clear()
        pair.client.data_received(GET)
        pair.turn()
        pair.connection.data_received(response())
        assert pair.app.written.endswith(b"\r\n\r\nhello")
        assert other.counters.codes == [(503, 1)]
        assert pair.is_released


# -- the body -----------------------------------------------------------------------------------------------------


def test_a_body_is_copied_when_it_is_whole() -> None:
    with MirrorPair() as pair:
        for piece in (POST[:-3], POST[-3:-1], POST[-1:]):
            pair.turn()
            assert not any(map(written, pair.copies))
            pair.client.data_received(piece)
        pair.turn()
        assert written(pair.copy).endswith(b"\r\n\r\nhello")
        pair.connection.data_received(response())
        pair.copy.data_received(response())
        assert pair.is_released
        assert not any(map(is_closed, pair.copies))


def test_chunks_and_trailers_are_copied() -> None:
    body = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
    with MirrorPair() as pair:
        pair.client.data_received(body)
        pair.turn()
        assert written(pair.copy).endswith(b"\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize("framing", [b"Content-Length: 6000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1770\r\n"])
def test_a_body_that_does_not_fit_is_not_copied(framing: bytes) -> None:
    with MirrorPair(shadow={"AMBASSADOR_RETRY_BUFFER": "5000"}) as pair:
        pair.client.data_received(b"POST /a HTTP/1.1\r\nHost: a\r\n" + framing + bytes(3000))
        pair.client.data_received(bytes(3000))
        pair.turn()
        assert (pair.counts, pair.mirror.under_way) == ({"body": 1}, 0)
        assert not any(map(written, pair.copies))
        assert pair.there.written.count(b"\0") == 6000


def test_the_body_of_a_copy_counts_for_the_memory_until_it_is_over() -> None:
    with MirrorPair() as pair:
        head = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"
        pair.client.data_received(head + bytes(10_000))
        assert pair.upstream.memory.held == 2 * 10_000  # the app's own, for a retry, and the copy
        pair.client.data_received(bytes(10_000))
        pair.turn()
        assert pair.upstream.memory.held == 2 * 20_000
        pair.connection.data_received(response())
        assert pair.upstream.memory.held == 20_000
        pair.copy.data_received(response())
        assert pair.is_released


def test_a_body_that_never_comes_leaves_nothing_behind() -> None:
    with MirrorPair() as pair:
        pair.client.data_received(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + bytes(10_000))
        pair.client.connection_lost(None)
        assert pair.counts == {"unfinished": 1}
        assert pair.is_released


# -- what is not copied -------------------------------------------------------------------------------------------


def test_no_more_copies_are_under_way_than_the_limit_allows() -> None:
    with MirrorPair(limit=1) as pair:
        for _ in range(3):
            pair.client.data_received(GET)
            pair.connection.data_received(response())
            pair.turn()
        assert pair.counts == {"sent": 1, "limit": 2}
        pair.copy.data_received(response())
        pair.client.data_received(GET)
        assert pair.counts == {"sent": 1, "limit": 2}
        pair.turn()
        assert pair.counts == {"sent": 2, "limit": 2}


def test_a_request_for_another_protocol_is_not_copied() -> None:
    with MirrorPair() as pair:
        pair.client.data_received(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        pair.turn()
        assert pair.counts == {"upgrade": 1}


def test_nothing_is_copied_while_memory_is_short() -> None:
    with MirrorPair() as pair:
        pair.upstream.memory.is_short = True
        pair.client.data_received(GET)
        pair.turn()
        assert pair.counts == {"memory": 1}


# -- its ends -----------------------------------------------------------------------------------------------------


def test_a_copy_ends_after_its_time_even_while_its_response_streams() -> None:
    with MirrorPair(shadow={"AMBASSADOR_TIMEOUT": "2s"}) as pair:
        pair.client.data_received(GET)
        pair.turn()
        connection = pair.copy
        connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        pair.mirror.tick(pair.client.since + 1.0)
        connection.data_received(b"1\r\nb\r\n")
        assert not is_closed(connection)
        pair.mirror.tick(pair.client.since + 3.0)
        assert is_closed(connection)
        assert pair.is_released


def test_the_end_of_the_process_ends_all_copies() -> None:
    with MirrorPair() as pair:
        pair.client.data_received(GET)
        pair.turn()
        connection = pair.copy
        pair.connection.data_received(response())
        pair.client.data_received(POST[:-1])
        pair.upstream.close()
        assert is_closed(connection)
        assert pair.is_released


def test_a_defect_in_copying_ends_the_copy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with MirrorPair() as pair:
        monkeypatch.setattr(pair.mirror.rules, "added", [None])
        pair.client.data_received(GET)
        pair.turn()
        pair.connection.data_received(response())
        assert pair.app.written.endswith(b"\r\n\r\nhello")
        assert (pair.other.defects.count, pair.upstream.defects.count) == (1, 0)
        assert pair.is_released


def test_the_connection_of_a_copy_serves_the_next_one() -> None:
    with MirrorPair() as pair:
        for _ in range(5):
            pair.client.data_received(GET)
            pair.turn()
            pair.copy.data_received(response(body=b"dropped"))
            pair.connection.data_received(response())
        assert sum(written(each).count(b"GET ") for each in pair.copies) == 5
        assert [wire(each).closing for each in pair.copies] == [False, False]
        assert b"dropped" not in pair.app.written
