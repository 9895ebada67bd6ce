"""The app: it knows two addresses, both on localhost, and nothing of replicas, names, retries or certificates.

GET /orders/<id>      what 127.0.0.1:8500 answers to that, with its status
GET /payments/<id>    the same of 127.0.0.1:8501
GET /many?orders=N    asks for N orders, some at a time: how many answers came from which replica, and how many errors
"""

import json
import os
import signal
import sys
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

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str) -> tuple[int, bytes]:
    """The status and the body; 599 where there is no answer at all."""
    try:
        with direct.open(url, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 599, str(error).encode()


def many(count: int) -> dict[str, object]:
    """Ask for so many orders; who answered them."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        answers = list(threads.map(ask, (f"{ORDERS}/orders/{number}" for number in range(count))))
    errors = [body.decode() for status, body in answers if status != 200]  # noqa: PLR2004 - what is no error
    replicas = Counter(json.loads(body)["mode"] for status, body in answers if status == 200)  # noqa: PLR2004 - as above
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
        """Not of interest here."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 is sent no signal that it has no handler for
    ThreadingHTTPServer((os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
