"""Spans in the official messages, and the names of attributes in those of the semantic conventions."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span
from opentelemetry.semconv import _incubating as incubating
from opentelemetry.semconv._incubating.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    rpc_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)

from sidecars.ambassador.http2.grpc import STATUS_NAMES
from sidecars.ambassador.proxy.observed import spans
from sidecars.ambassador.proxy.observed.trace_context import TraceContext
from tests.ambassador.collector import attributes
from tests.support import examples

CONTEXT = TraceContext(b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331", 1, b"a=1")


def parsed(*parts: bytes, kind: int = spans.SERVER, failed: bool = False) -> Any:
    one = spans.Span(kind, b"GET", CONTEXT, b"c" * 16, CONTEXT.parent_id).encode(1, 2, parts, failed=failed)
    (found,) = ScopeSpans.FromString(one).spans
    return found


def test_a_span_has_its_place_in_the_trace_its_times_and_its_status() -> None:
    found = parsed(failed=True)
    assert (found.trace_id.hex(), found.parent_span_id.hex()) == (CONTEXT.trace_id.decode(), CONTEXT.parent_id.decode())
    assert (found.span_id, found.trace_state, found.name) == (b"\xcc" * 8, "a=1", "GET")
    assert (found.kind, found.start_time_unix_nano, found.end_time_unix_nano) == (Span.SPAN_KIND_SERVER, 1, 2)
    assert (found.status.code, found.flags) == (2, 0x301)  # sampled, and the parent is another process
    assert (parsed().status.code, parsed(kind=spans.CLIENT).flags) == (0, 0x101)


@given(st.binary(max_size=2000), st.integers(0, 2**62))
@examples(200)
def test_texts_of_peers_are_bounded_utf8_whatever_they_are(text: bytes, number: int) -> None:
    found = parsed(
        spans.text_attribute(spans.USER_AGENT, text),
        spans.path_attribute(text),
        spans.number_attribute(spans.STATUS, number),
        spans.method_attributes(text),
        spans.event(7, "retry", text, b"10.0.0.1:80"),
    )
    known = attributes(found)
    assert len(known["user_agent.original"]) <= 256
    assert len(known["url.path"]) <= 1024
    assert "?" not in known["url.path"]
    assert known["http.response.status_code"] == number
    assert found.events[0].time_unix_nano == 7


def test_hosts_and_ports_are_told_apart() -> None:
    def of(authority: bytes) -> tuple[Any, Any]:
        known = attributes(parsed(spans.address_attributes(spans.SERVER_ADDRESS, spans.SERVER_PORT, authority)))
        return known["server.address"], known.get("server.port")

    assert of(b"orders:8080") == ("orders", 8080)
    assert of(b"orders") == ("orders", None)
    assert of(b"[::1]:8080") == ("::1", 8080)
    assert of(b"[::1]") == ("::1", None)


def test_a_request_is_a_whole_message_of_any_size() -> None:
    one = spans.Span(spans.CLIENT, b"GET", CONTEXT, b"c" * 16, b"").encode(1, 2, (), failed=False)
    for count in (1, 1000):
        message = ExportTraceServiceRequest.FromString(b"".join(spans.request(b"", b"", [one] * count)))
        assert len(message.resource_spans[0].scope_spans[0].spans) == count


def test_each_attribute_has_a_name_of_the_semantic_conventions() -> None:
    assert incubating is not None
    official = {
        value
        for module in (
            client_attributes,
            error_attributes,
            http_attributes,
            network_attributes,
            rpc_attributes,
            server_attributes,
            url_attributes,
            user_agent_attributes,
        )
        for name, value in vars(module).items()
        if name.isupper()
    }
    ours = {
        value[2:].decode()
        for name, value in vars(spans).items()
        if name.isupper() and isinstance(value, bytes) and value[:1] == b"\x0a"
    }
    assert {name for name in ours - official if not name.startswith("ambassador.")} == set()
    assert len(ours) > 20


def test_the_statuses_of_calls_have_the_names_of_grpc() -> None:
    import grpc  # noqa: PLC0415 - heavy

    assert len(spans.CALL_STATUSES) == len(STATUS_NAMES)
    assert {name.decode(): number for number, name in enumerate(spans.CALL_STATUSES)} == {
        code.name: code.value[0] for code in grpc.StatusCode
    }
    assert struct.calcsize("<BBI") == 6
