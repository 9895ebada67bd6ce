"""Traces end to end: what the endpoint gets, and what a collector gets, in the official messages of OTLP."""

from __future__ import annotations

import re
import ssl
import time
from pathlib import Path

import trustme
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from tests.ambassador.collector import Collector, attributes
from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection
from tests.ambassador.http2.raw_server import RESPONSE, Session, serving
from tests.ambassador.support import Ambassador, Peer, answering, backends
from tests.conftest import Start
from tests.support import free_port, get, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKING = (
    f"GET /orders/7?token=hidden HTTP/1.1\r\nHost: orders:8500\r\nUser-Agent: shop/1.0\r\n"
    f"traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\ntracestate: b=2\r\nCookie: hidden\r\n\r\n"
).encode()
PLAIN = b"GET /orders/7?token=hidden HTTP/1.1\r\nHost: orders:8500\r\n\r\n"


def traced(start: Start, upstream: str, collector: Collector, **environ: str) -> Ambassador:
    return Ambassador(start, upstream, TRACES="on", TRACES_ENDPOINT=collector.url, **environ)


def field(head: bytes, name: str) -> list[str]:
    return [found.decode() for found in re.findall(rb"(?i)\r\n%b: ([^\r]*)" % name.encode(), head)]


def test_an_exchange_and_each_attempt_have_a_span_and_the_endpoint_gets_that_of_its_attempt(
    start: Start,
) -> None:
    seen: list[bytes] = []
    with Collector() as collector, backends(answering(b"ok", seen=seen)) as (backend,):
        nobody = free_port()
        ambassador = traced(start, f"http://127.0.0.1:{nobody},{backend.url}", collector, BALANCE="round_robin")
        while not any(len(found) == 3 for found in by_exchange(collector)):
            assert ambassador.ask(ASKING)[0] == 200
            collector.wait_for(2)
        own, failed, good = next(found for found in by_exchange(collector) if len(found) == 3)
    assert (own.trace_id.hex(), own.parent_span_id.hex(), own.trace_state) == (TRACE, PARENT, "a=1,b=2")
    assert (own.kind, failed.kind, good.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_CLIENT)
    assert {failed.parent_span_id, good.parent_span_id} == {own.span_id}
    assert f"00-{TRACE}-{good.span_id.hex()}-01" in [field(head, "traceparent")[0] for head in seen]
    assert all(field(head, "tracestate") == ["a=1,b=2"] for head in seen)
    found = attributes(own)
    assert (found["http.request.method"], found["url.path"]) == ("GET", "/orders/7")
    assert (found["server.address"], found["server.port"]) == ("orders", 8500)
    assert (found["http.response.status_code"], found["http.response.body.size"]) == (200, 2)
    assert (found["user_agent.original"], found["ambassador.upstream"]) == ("shop/1.0", "default")
    assert [(one.name, attributes(one)["ambassador.reason"]) for one in own.events] == [
        ("retry", "the connection was refused")
    ]
    assert attributes(failed)["error.type"] == "connection_refused"
    assert failed.status.code == 2
    assert attributes(good)["url.full"] == f"http://127.0.0.1:{backend.port}/orders/7"
    assert (attributes(good)["http.request.resend_count"], good.status.code) == (1, 0)
    assert own.start_time_unix_nano <= failed.start_time_unix_nano <= failed.end_time_unix_nano
    assert failed.end_time_unix_nano <= good.end_time_unix_nano <= own.end_time_unix_nano
    assert "hidden" not in str(collector.spans)
    assert collector.requests[0][0] == "/v1/traces"
    assert collector.resources[0]["service.name"] == "ambassador"


def by_exchange(collector: Collector) -> list[list[Span]]:
    """Return the spans of each exchange, its own first, in the order of their ends."""
    spans = list(collector.spans)
    own = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    return [[one, *(span for span in spans if span.parent_span_id == one.span_id)] for one in own]


def test_spans_that_wait_are_sent_at_the_end_and_the_collector_may_be_away_all_the_time(start: Start) -> None:
    with Collector() as collector, backends(answering()) as (backend,):
        ambassador = traced(start, backend.url, collector, TRACES_RATIO="100%")
        assert ambassador.ask(PLAIN)[0] == 200
        assert ambassador.program.stop() == 0
        assert len(collector.spans) == 2
        nobody = Ambassador(
            start, backend.url, TRACES="on", TRACES_ENDPOINT=f"http://127.0.0.1:{free_port()}", TRACES_RATIO="100%"
        )
        assert nobody.ask(PLAIN)[0] == 200
        nobody.program.wait_logged("spans cannot be exported at present")
        assert nobody.ask(PLAIN)[0] == 200
        assert nobody.program.stop() == 0


def test_a_collector_that_asks_for_patience_gets_the_spans_again_and_one_that_refuses_does_not(
    start: Start,
) -> None:
    with Collector() as collector, backends(answering()) as (backend,):
        collector.answers = [(503, {"Retry-After": "0"}), (429, {"Retry-After": "0"})]
        secret = "x-secret-of-the-collector-1234"
        ambassador = traced(
            start, backend.url, collector, TRACES_RATIO="100%", TRACES_HEADERS=f"Authorization: Bearer {secret}"
        )
        assert ambassador.ask(PLAIN)[0] == 200
        collector.wait_for(2)
        assert len(collector.requests) == 3
        assert {headers["Authorization"] for _, headers in collector.requests} == {f"Bearer {secret}"}
        wait_until(lambda: ambassador.metric("ambassador_spans_total", outcome="exported") == 2, "two are exported")
        collector.answers = [(400, {})]
        assert ambassador.ask(PLAIN)[0] == 200
        wait_until(lambda: ambassador.metric("ambassador_spans_total", outcome="refused") == 2, "two are refused")
        line = ambassador.program.wait_logged("the collector refuses spans")
        assert (line["code"], line["reason"]) == ("spans-refused", "it responded with 400")
        collector.rejects = 1
        assert ambassador.ask(PLAIN)[0] == 200
        wait_until(lambda: ambassador.metric("ambassador_spans_total", outcome="refused") == 3, "one is refused")
        status = ambassador.program.wait_logged("starting")
    assert secret not in ambassador.program.stderr + str(status)


def test_a_collector_that_wants_the_spans_again_at_once_and_forever_is_not_asked_without_a_pause(start: Start) -> None:
    with Collector() as collector, backends(answering()) as (backend,):
        collector.answers = [(503, {"Retry-After": "0"})] * 10_000
        ambassador = traced(start, backend.url, collector, TRACES_RATIO="100%")
        assert ambassador.ask(PLAIN)[0] == 200
        wait_until(lambda: len(collector.requests) >= 2, "the spans were sent again")
        time.sleep(1.0)
        assert len(collector.requests) <= 5


def test_a_port_for_grpc_in_the_place_of_the_collector_is_told_once_as_what_it_is(start: Start) -> None:
    settings = b"\0\0\0\4\0\0\0\0\0"
    asked: list[int] = []

    def handle(peer: Peer) -> None:
        """End as a server of gRPC does with HTTP/1.1: with a frame of HTTP/2 or without, as it comes."""
        asked.append(len(asked))
        peer.head()
        if len(asked) % 2:
            peer.send(settings)

    with backends(handle, answering()) as (grpc, backend):
        ambassador = Ambassador(start, backend.url, TRACES="on", TRACES_ENDPOINT=grpc.url, TRACES_RATIO="100%")
        assert ambassador.ask(PLAIN)[0] == 200
        wait_until(lambda: len(asked) >= 3, "the spans were sent three times")
        assert ambassador.program.stop() == 0
    lines = [line for line in ambassador.program.logs if line.get("code") == "spans-not-exported"]
    assert [line["reason"] for line in lines] == [
        "no response of HTTP/1.1: this is probably a gRPC port (4317), and the one for HTTP is 4318"
    ]


def test_a_call_of_grpc_has_its_method_and_its_status(start: Start) -> None:
    def unavailable(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, [*RESPONSE, (b"grpc-status", b"14")]))

    with Collector() as collector, serving(unavailable) as server:
        ambassador = traced(start, server.url, collector, ACCESS_LOG="errors", ACCESS_LOG_FIELDS="path,grpc_status")
        with Connection.to(ambassador.port) as app:
            app.send(raw.headers(1, raw.call(b"/shop.v1.Orders/Get"), raw.END_HEADERS))
            app.send(raw.data(1, raw.message(b"order"), raw.END_STREAM))
            assert app.message(1) is not None
        own, attempt = collector.wait_for(2)
        (head,) = [dict(head) for session in server.sessions for head in session.heads.values()]
    assert (own.name, own.status.code, attempt.status.code) == ("shop.v1.Orders/Get", 2, 2)
    for span in (own, attempt):
        known = attributes(span)
        assert (known["rpc.system.name"], known["rpc.method"]) == ("grpc", "shop.v1.Orders/Get")
        assert (known["rpc.response.status_code"], known["error.type"]) == ("UNAVAILABLE", "UNAVAILABLE")
        assert known["network.protocol.version"] == "2"
    assert head[b"traceparent"].decode() == f"00-{own.trace_id.hex()}-{attempt.span_id.hex()}-02"
    line = ambassador.program.wait_logged("request")
    assert (line["path"], line["grpc_status"]) == ("/shop.v1.Orders/Get", 14)


def test_workers_export_over_tls_what_the_kernel_confines_and_routes_show_the_path_of_the_app(
    start: Start, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "headers").write_text("X-Scope-OrgID: shop\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    seen: list[bytes] = []
    with Collector(tls=context) as collector, backends(answering(seen=seen)) as (backend,):
        ambassador = Ambassador(
            start,
            f"{backend.url}/base",
            TRACES="on",
            TRACES_RATIO="100%",
            TRACES_ENDPOINT=f"https://localhost:{collector.port}/in",
            TRACES_CA=str(tmp_path / "ca.pem"),
            TRACES_HEADERS_FILE=str(tmp_path / "headers"),
            WORKERS="2",
            CONFINEMENT="required",
        )
        assert ambassador.ask(PLAIN)[0] == 200
        own, attempt = collector.wait_for(2)
        wait_until(lambda: ambassador.metric("ambassador_spans_total", outcome="exported") == 2, "they are counted")
        metrics = get(
            f"http://127.0.0.1:{ambassador.admin}/metrics", Accept="application/openmetrics-text; version=1.0.0"
        ).text
    assert (attributes(own)["url.path"], seen[0].split()[1]) == ("/orders/7", b"/base/orders/7?token=hidden")
    assert attributes(attempt)["url.full"].endswith("/base/orders/7")
    assert [(path, headers["X-Scope-OrgID"]) for path, headers in collector.requests] == [("/in", "shop")]
    found = [
        sample.exemplar
        for family in openmetrics(metrics)  # type: ignore[no-untyped-call] # the library has no types there
        for sample in family.samples
        if sample.name == "ambassador_request_duration_seconds_bucket" and sample.exemplar is not None
    ]
    assert [one.labels for one in found] == [{"trace_id": own.trace_id.hex()}]
