"""The app: it knows two addresses, both on localhost, and nothing of replicas, names, retries or certificates.

GET /orders/<id>      returns the response of 127.0.0.1:8500, with its status
GET /payments/<id>    returns the response of 127.0.0.1:8501, with its status
GET /many?orders=N    requests N orders, some at a time, and counts the responses of each replica and the errors
"""

import http.client
import json
import os
import random
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ORDERS = os.environ.get("ORDERS", "http://127.0.0.1:8500")
PAYMENTS = os.environ.get("PAYMENTS", "http://127.0.0.1:8501")
AT_A_TIME = 8
MOST = 5000
RESTART = 20.0  # seconds in which a container is back after it has ended

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str) -> tuple[int, bytes]:
    """Return the status and the body; 599 without a response.

    If nobody listens, or the connection ends without a response, the ambassador restarts. A GET may be repeated, so the
    app tries again for RESTART seconds, each time after twice the pause, with chance in it, so that attempts spread.
    """
    end, pause = time.monotonic() + RESTART, 0.05
    while True:
        try:
            with direct.open(url, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            starting = "dns_error" in error.headers.get("Proxy-Status", "")  # it has not heard from DNS yet
            if not starting or time.monotonic() > end:
                return error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            lost = isinstance(getattr(error, "reason", error), ConnectionError | http.client.HTTPException)
            if not lost or time.monotonic() > end:
                return 599, str(error).encode()
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads attempts; no secret
        pause = min(2 * pause, 1.0)


def many(count: int) -> dict[str, object]:
    """Request `count` orders and count the replicas that served them."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        responses = list(threads.map(ask, (f"{ORDERS}/orders/{number}" for number in range(count))))
    errors = [body.decode() for status, body in responses if status != 200]
    replicas = Counter(json.loads(body)["mode"] for status, body in responses if status == 200)
    return {"asked": count, "errors": len(errors), "answered by": replicas, "first errors": errors[:3]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/many":
            count = int(parse_qs(url.query).get("orders", ["100"])[0])
            status, body = 200, json.dumps(many(min(count, MOST))).encode()
        elif url.path.startswith(("/orders/", "/payments/")):
            status, body = ask((ORDERS if url.path.startswith("/orders/") else PAYMENTS) + self.path)
        else:
            status, body = 404, b"try /orders/7, /payments/7 or /many?orders=500\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the example shows the ambassador's log."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel drops signals to process 1 without a handler
    ThreadingHTTPServer((os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
