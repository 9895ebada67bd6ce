"""The tests of pages can fail: each fault that they look for is found in a page that has it."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.conftest import NARROW, Window
from tests.browser.visits import visit

SCRIPT = "document.querySelector('h1').textContent = 'scripts run'"
PAGE = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>faults</title>
<link rel="icon" href="data:,"></head><body><main><h1>no script has run</h1>
<p style="color: #999">grey on white</p><pre>{"wide " * 100}</pre>
<img src="http://127.0.0.2:9/dot.png" alt="a dot"></main>
<script>{SCRIPT}</script><script>document.title = 'this script has no hash'</script></body></html>"""


class Faults(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", f"script-src 'sha256-{allowed}'")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def faults() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faults)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_fault_of_the_page_is_found_by_axe_while_its_policy_stays_in_force(window: Window, faults: str) -> None:
    seen = visit(window(), f"{faults}/")
    seen.page.get_by_role("heading", name="scripts run").wait_for()
    assert ["color-contrast" in found for found in seen.violations()] == [True]
    assert seen.page.title() == "faults"


def test_a_message_a_request_elsewhere_and_a_wide_page_are_seen(window: Window, faults: str) -> None:
    seen = visit(window(size=NARROW), f"{faults}/")
    assert [text for text in seen.said if "Content Security Policy" in text]
    assert seen.strangers(faults) == ["http://127.0.0.2:9/dot.png"]
    assert "the page" in seen.reaches_sideways()
