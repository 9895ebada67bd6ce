"""The page of traces of examples/ambassador in Chromium, with spans that a test sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.browser.conftest import NARROW, WIDE, Window
from tests.browser.visits import visit
from tests.support import PATIENCE, ROOT, Program, free_port, responds, wait_until

HOSTILE = "<script>document.title = 'forged'</script>&lt;\u202e\r\n\0" + "x" * 3000
TRACE = b"\x0a" * 16


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    program = Program(
        [str(ROOT / "examples" / "ambassador" / "traces.py")], {"HOST": "127.0.0.1", "PORT": str(port)}, tmp_path
    )
    try:
        wait_until(lambda: responds(port), "the page")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.kill()


def send(page: str, *spans: dict[str, Any], trace: bytes = TRACE) -> None:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for span in spans:
        one = scope.spans.add(trace_id=trace)
        for name, value in span.pop("attributes", {}).items():
            one.attributes.add(key=name).value.string_value = value
        if reason := span.pop("retried", ""):
            event = one.events.add(name="retry", time_unix_nano=span["start_time_unix_nano"])
            event.attributes.add(key="ambassador.reason").value.string_value = reason
        for name, value in span.items():
            setattr(one, name, value)
    assert (
        httpx.post(
            f"{page}/v1/traces", content=message.SerializeToString(), trust_env=False, timeout=PATIENCE
        ).status_code
        == 200
    )


def an_order(page: str, path: str = "/orders/7") -> None:
    own = {"span_id": b"a" * 8, "name": "GET", "kind": 2, "start_time_unix_nano": 10**18}
    own |= {"end_time_unix_nano": 10**18 + 30_000_000, "attributes": {"url.path": path}, "retried": "it failed"}
    attempt = {"parent_span_id": b"a" * 8, "name": "GET", "kind": 3}
    first = {**attempt, "span_id": b"b" * 8, "start_time_unix_nano": 10**18, "end_time_unix_nano": 10**18 + 10_000_000}
    first["attributes"] = {"network.peer.address": "10.0.0.4", "error.type": "503"}
    second = {**attempt, "span_id": b"c" * 8, "start_time_unix_nano": 10**18 + 10_000_000}
    second |= {"end_time_unix_nano": 10**18 + 30_000_000, "attributes": {"network.peer.address": "10.0.0.2"}}
    send(page, second, own, first)  # in any order


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_trace_is_a_waterfall_that_everybody_can_read(page: str, window: Window, scheme: str) -> None:
    an_order(page)
    seen = visit(window(scheme, WIDE), page)
    seen.shown("2 attempts")
    assert seen.violations() == []
    seen.page.get_by_role("link", name="GET /orders/7").click()
    rows = seen.page.locator("li")
    rows.nth(2).wait_for()
    assert [("10.0.0.4" in row, "10.0.0.2" in row) for row in rows.all_inner_texts()] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    seen.shown("since it failed")
    bars = [one.bounding_box() for one in seen.page.locator("svg rect:nth-child(2)").all()]
    own, first, second = [one for one in bars if one is not None]
    assert first["x"] + first["width"] <= second["x"] + 1
    assert own["width"] > second["width"] > first["width"]
    seen.unfold()
    assert seen.violations() == []
    assert (seen.strangers(page), seen.said) == ([], [])


def test_what_a_span_says_is_text_alone_and_a_narrow_window_is_wide_enough(page: str, window: Window) -> None:
    an_order(page, HOSTILE)
    send(page, {"span_id": b"d" * 8, "name": HOSTILE, "start_time_unix_nano": 5}, trace=b"\x0b" * 16)
    for path in ("", "/" + TRACE.hex(), "/" + (b"\x0b" * 16).hex()):
        seen = visit(window("light", NARROW), page + path)
        seen.unfold()
        assert seen.page.title() in ("Traces", "A trace")
        assert seen.reaches_sideways() == []
        assert seen.said == []


def test_what_is_no_message_is_refused_and_the_traces_are_bounded(page: str) -> None:
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        assert client.post(f"{page}/v1/traces", content=b"\xff\xff").status_code == 400
        for number in range(110):
            send(page, {"span_id": b"e" * 8, "name": "GET"}, trace=number.to_bytes(16, "big"))
        assert len(client.get(f"{page}/traces.json").json()) == 100
        assert client.get(f"{page}/{'f' * 32}").status_code == 404
