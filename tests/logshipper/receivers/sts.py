"""An STS of our own, which gives keys for an object store that end after seconds."""

from __future__ import annotations

import datetime as dt
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.logshipper.receivers.object_store import ObjectStore


class Sts:
    """Answers AssumeRoleWithWebIdentity with numbered keys, which the store knows until they end.

    `lifetime`: seconds of the keys. `forms`: the bodies of the requests.
    """

    def __init__(self, store: ObjectStore, lifetime: float) -> None:
        self.forms: list[str] = []
        sts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sts.forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                access, secret, ends = f"ASIA{len(sts.forms)}", f"secret-key-{len(sts.forms)}", time.time() + lifetime
                store.secrets[access], store.ends[access] = secret, ends
                expiration = dt.datetime.fromtimestamp(ends, dt.UTC).isoformat(timespec="milliseconds")
                answer = (
                    "<AssumeRoleWithWebIdentityResponse><Credentials>"
                    f"<AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
                    f"<SessionToken>session-of-{access}</SessionToken><Expiration>{expiration}</Expiration>"
                    "</Credentials></AssumeRoleWithWebIdentityResponse>"
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
