"""Observed exchanges without a network: what the endpoint gets, and what is noted, exported and logged."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from sidecars.ambassador.proxy.observed.observer import observe
from sidecars.ambassador.proxy.observed.span_queue import SpanQueue
from tests.ambassador.collector import attributes
from tests.ambassador.exchanges import Pair, wire
from tests.ambassador.proxy.beside.pairs import HedgingPair, response, written

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cache: hit\r\nSet-Cookie: hidden\r\n\r\nok"
COLLECTOR = {"AMBASSADOR_TRACES_ENDPOINT": "http://127.0.0.1:4318"}


class Observed(Pair):
    """A pair whose exchanges are observed."""

    def __init__(self, **environ: str) -> None:
        traces = COLLECTOR if environ.get("AMBASSADOR_TRACES") == "on" else {}
        super().__init__(**environ, **traces)
        self.queue = SpanQueue()
        observe(self.upstream, self.queue, self.upstream.settings)

    def __enter__(self) -> Observed:  # noqa: PYI034 - a helper of one class
        return self

    def ask(self, *lines: bytes, method: bytes = b"GET") -> bytes:
        """Send a request, and return what the endpoint gets."""
        before = len(self.there.written)
        head = b"%b /orders?key=hidden HTTP/1.1\r\nHost: a:1\r\n%b\r\n" % (
            method,
            b"".join(b"%b\r\n" % one for one in lines),
        )
        self.client.data_received(head)
        return self.there.written[before:]

    def spans(self) -> list[Span]:
        batch, count = self.queue.take()
        found = list(ScopeSpans.FromString(b"".join(batch)).spans)
        assert len(found) == count
        return found


def value(head: bytes, name: str) -> list[str]:
    return [one.decode() for one in re.findall(rb"(?i)\r\n%b: ([^\r]*)" % name.encode(), head)]


def test_the_context_goes_on_with_the_span_of_the_attempt_and_equal_heads_are_not_mixed_up() -> None:
    with Observed(AMBASSADOR_TRACES="context") as pair:
        spans = set()
        for _ in range(3):  # the third one is parsed from the cache
            head = pair.ask(b"traceparent: 00-%b-%b-01" % (TRACE.encode(), PARENT.encode()), b"TraceState: a=1")
            (parent,) = value(head, "traceparent")
            spans.add(parent)
            assert parent.startswith(f"00-{TRACE}-")
            assert parent.endswith("-01")
            assert value(head, "tracestate") == ["a=1"]
            pair.connection.data_received(OK)
        assert len(spans) == 3
        assert pair.spans() == []


@pytest.mark.parametrize("lines", [[], [b"traceparent: 00-xyz", b"tracestate: a=1"], [b"tracestate: a=1"]])
def test_without_a_valid_parent_a_trace_begins_here_and_the_old_state_is_dropped(lines: list[bytes]) -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%") as pair:
        head = pair.ask(*lines)
        (parent,) = value(head, "traceparent")
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-03", parent)
        assert value(head, "tracestate") == []
        pair.connection.data_received(OK)
        own, attempt = pair.spans()
        assert parent == f"00-{own.trace_id.hex()}-{attempt.span_id.hex()}-03"
        assert (own.parent_span_id, attempt.parent_span_id) == (b"", own.span_id)


def test_without_the_setting_what_the_app_says_goes_on_untouched() -> None:
    with Observed(AMBASSADOR_REQUEST_ID_HEADER="x-id") as pair:
        for parent in (f"00-{TRACE}-{PARENT}-01", "nonsense"):
            head = pair.ask(b"traceparent: " + parent.encode(), b"tracestate: a=1", b"tracestate: b=2")
            assert (value(head, "traceparent"), value(head, "tracestate")) == ([parent], ["a=1", "b=2"])
            pair.connection.data_received(OK)
        assert value(pair.ask(), "traceparent") == []


def test_a_slow_request_and_a_failed_one_are_exported_and_else_the_parent_decides() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%", AMBASSADOR_TRACES_SLOW="1h") as pair:
        for flag, answer, slowly, exported in (
            (b"01", OK, False, True),
            (b"00", OK, False, False),
            (b"00", OK, True, True),
            (b"00", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", False, True),
        ):
            head = pair.ask(b"traceparent: 00-%b-%b-%b" % (TRACE.encode(), PARENT.encode(), flag))
            assert value(head, "traceparent")[0].endswith(flag.decode())
            assert pair.client.exchange is not None
            pair.client.exchange.started -= 3600.0 * slowly
            pair.connection.data_received(answer)
            assert bool(pair.spans()) == exported


def test_what_is_neither_sampled_nor_failed_nor_slow_leaves_nothing() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="0%") as pair:
        pair.ask()
        pair.connection.data_received(OK)
        assert (pair.spans(), pair.upstream.counters.exemplars) == ([], {})


def test_a_response_that_breaks_off_an_app_that_leaves_and_a_dead_endpoint_have_their_error_types() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%", AMBASSADOR_RETRIES="0") as pair:
        pair.ask(method=b"POST")
        pair.connection.data_received(OK[:-1])
        pair.connection.connection_lost(None)
        own, attempt = pair.spans()
        assert (attributes(own)["error.type"], own.status.code) == ("connection_terminated", 2)
        assert attributes(own)["http.response.status_code"] == 200
        assert (attributes(attempt)["error.type"], attempt.status.code) == ("connection_terminated", 2)
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%") as pair:
        pair.ask()
        pair.client.connection_lost(None)
        own, attempt = pair.spans()
        assert (attributes(own)["error.type"], own.status.code) == ("client_closed_request", 0)
        assert "http.response.status_code" not in attributes(own)
        assert attributes(attempt)["error.type"] == "client_closed_request"


def test_a_response_that_is_tried_elsewhere_is_an_attempt_of_its_own() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%", AMBASSADOR_BALANCE="round_robin") as pair:
        pair.add_endpoints(1)
        (other,) = pair.upstream.pool.idle.of(pair.upstream.endpoints[1])
        first = pair.ask()
        here, there = (pair.connection, other) if first else (other, pair.connection)
        here.data_received(b"HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n")
        there.data_received(OK)
        own, failed, good = pair.spans()
        assert [attributes(one).get("http.response.status_code") for one in (own, failed, good)] == [200, 503, 200]
        assert [attributes(one).get("http.request.resend_count") for one in (failed, good)] == [None, 1]
        assert (attributes(failed)["error.type"], [event.name for event in own.events]) == ("503", ["retry"])
        heads = [value(wire(one).written, "traceparent")[0][36:52] for one in (here, there)]
        assert heads == [failed.span_id.hex(), good.span_id.hex()]


def test_no_field_of_a_response_that_was_dropped_is_in_the_line_of_the_access_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    environ = {"AMBASSADOR_ACCESS_LOG": "all", "AMBASSADOR_ACCESS_LOG_FIELDS": "status,response.x-cache"}
    with Observed(AMBASSADOR_BALANCE="round_robin", AMBASSADOR_RETRIES="1", **environ) as pair:
        pair.add_endpoints(1)
        (other,) = pair.upstream.pool.idle.of(pair.upstream.endpoints[1])
        here, there = (pair.connection, other) if pair.ask() else (other, pair.connection)
        here.data_received(b"HTTP/1.1 503 Oops\r\nContent-Length: 0\r\nX-Cache: dropped\r\n\r\n")
        there.data_received(b"nonsense\r\n\r\n")
    (line,) = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "request"]
    assert line == {"status": 502, "response.x-cache": ""}


def test_a_connection_that_does_not_open_before_the_end_has_its_own_error_type() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%", AMBASSADOR_TIMEOUT="3s") as pair:
        pair.connection.connection_lost(None)  # no idle connection is left
        pair.ask()
        exchange = pair.client.exchange
        assert exchange is not None
        exchange.tick(exchange.started + 3.1)
        own, attempt = pair.spans()
        found = [attributes(one)["error.type"] for one in (own, attempt)]
        assert found == ["connection_timeout", "connection_timeout"]


def test_the_bodies_are_counted_however_they_come() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%") as pair:
        pair.client.data_received(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        pair.client.data_received(b"67890")
        pair.connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        pair.connection.data_received(b"4\r\ndefg\r\n0\r\n\r\n")
        known = attributes(pair.spans()[0])
        assert (known["http.request.body.size"], known["http.response.body.size"]) == (10, 7)


def test_a_request_id_that_came_goes_on_and_another_one_is_made() -> None:
    with Observed(AMBASSADOR_REQUEST_ID_HEADER="X-Request-Id") as pair:
        assert value(pair.ask(b"x-request-id: abc"), "x-request-id") == ["abc"]
        pair.connection.data_received(OK)
        ids = set()
        for _ in range(3):
            (made,) = value(pair.ask(), "x-request-id")
            ids.add(made)
            assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made)
            pair.connection.data_received(OK)
        assert len(ids) == 3
        (made,) = value(pair.ask(b"x-request-id:"), "x-request-id")
        assert made  # an empty field is no id
        pair.connection.data_received(OK)
        assert value(pair.ask(), "traceparent") == []  # TRACES is off


def test_the_line_of_the_access_log_has_the_fields_that_were_chosen(caplog: pytest.LogCaptureFixture) -> None:
    fields = (
        "status,trace_id,request_id,user_agent,response.x-cache,request.accept,response_bytes,grpc_status,host,default"
    )
    environ = {"AMBASSADOR_ACCESS_LOG_FIELDS": f"{fields},default", "AMBASSADOR_ACCESS_LOG": "all"}
    with Observed(AMBASSADOR_TRACES="context", AMBASSADOR_REQUEST_ID_HEADER="x-id", **environ) as pair:
        caplog.set_level("INFO")
        pair.ask(b"traceparent: 00-%b-%b-01" % (TRACE.encode(), PARENT.encode()), b"User-Agent: shop", b"X-Id: 7")
        pair.connection.data_received(OK)
        (line,) = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "request"]
    assert list(line)[:5] == ["status", "trace_id", "request_id", "user_agent", "response.x-cache"]
    wanted: dict[str, Any] = {
        "status": 200,
        "trace_id": TRACE,
        "request_id": "7",
        "user_agent": "shop",
        "response.x-cache": "hit",
        "request.accept": "",
        "response_bytes": 2,
        "grpc_status": None,
        "host": "a:1",
        "path": "/orders",
        "upstream": "default",
    }
    assert {name: line[name] for name in wanted} == wanted
    assert "hidden" not in str(line)


def test_the_exemplar_of_a_bucket_is_the_last_exported_request_in_it() -> None:
    with Observed(AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%") as pair:
        for _ in range(50):
            pair.ask()
            pair.connection.data_received(OK)
        exemplars = pair.upstream.counters.exemplars
        assert 1 <= len(exemplars) <= 16
        last = pair.spans()[-2]
        assert last.trace_id.hex() in {trace for trace, _, _ in exemplars.values()}


def test_the_line_of_a_hedged_request_tells_the_outcome_and_that_of_another_has_no_such_field(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    with HedgingPair(2, AMBASSADOR_ACCESS_LOG="all", AMBASSADOR_ACCESS_LOG_FIELDS="default,client") as pair:
        observe(pair.upstream, SpanQueue(), pair.upstream.settings)
        second = pair.let_hedge(pair.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")[0])
        assert second is not None
        second.data_received(response())
        pair.ask(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")[0].data_received(response())
    lines = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "request"]
    assert [(line["path"], line.get("hedge", "none")) for line in lines] == [("/a", "won"), ("/b", "none")]


@pytest.mark.parametrize("winner", ["first", "second"])
def test_a_hedge_is_an_attempt_with_a_span_of_its_own_and_the_slower_one_is_no_error(winner: str) -> None:
    with HedgingPair(2, AMBASSADOR_TRACES="on", AMBASSADOR_TRACES_RATIO="100%", **COLLECTOR) as pair:
        queue = SpanQueue()
        observe(pair.upstream, queue, pair.upstream.settings)
        first, _ = pair.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        second = pair.let_hedge(first)
        assert second is not None
        (first if winner == "first" else second).data_received(response())
        own, *attempts = ScopeSpans.FromString(b"".join(queue.take()[0])).spans
        sent = [value(written(one), "traceparent")[0][36:52] for one in (first, second)]
        assert [one.span_id.hex() for one in attempts] == sent
        statuses = [attributes(one).get("http.response.status_code") for one in attempts]
        assert statuses == ([200, None] if winner == "first" else [None, 200])
        assert [one.status.code for one in (own, *attempts)] == [0, 0, 0]
        assert list(own.events) == []
