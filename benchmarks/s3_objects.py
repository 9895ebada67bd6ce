"""The cost of the sink `s3`: `python -m benchmarks.s3_objects [megabytes]`. CPU time and memory of the process alone.

Lines of a Java app go to a store that reads and forgets each object. The settings are the defaults of the sink: batches
of 32 MiB, gzip.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, conclude
from benchmarks.javalogs import write_log

MEGABYTES = 300  # of 10^6 bytes


class Store(ThreadingHTTPServer):
    """Reads objects and forgets them. `bytes`: of their bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        self.bytes = 0
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                store.bytes += len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                answer = b"<R><UploadId>1</UploadId></R>" if "?uploads" in self.path else b""
                self.send_response(200)
                self.send_header("ETag", '"0"')
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_POST(self) -> None:
                self.do_PUT()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def main() -> int:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES
    store = Store()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "logs").mkdir()
        log = folder / "logs" / "app.log"
        write_log(log, megabytes * 10**6)
        size = log.stat().st_size
        environ = {
            "LOGSHIPPER_PATHS": f"{folder}/logs/*.log",
            "LOGSHIPPER_STATE_DIR": f"{folder}/state",
            "LOGSHIPPER_SINK": "s3://logs/prefix",
            "LOGSHIPPER_SINK_ENDPOINT": f"http://127.0.0.1:{store.server_address[1]}",
            "LOGSHIPPER_SINK_USERNAME": "AKIDEXAMPLE",
            "LOGSHIPPER_SINK_PASSWORD": "an-example",
            "LOGSHIPPER_ADMIN_LISTEN": "off",
            "LOGSHIPPER_EXIT_WHEN_IDLE": "1s",
            "POD_NAME": "shop-0",
            "POD_NAMESPACE": "shop",
        }
        subprocess.run([sys.executable, "-m", "sidecars.logshipper"], env=environ, check=True, capture_output=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    store.shutdown()
    store.server_close()
    seconds = used.ru_utime + used.ru_stime
    figures = [
        Figure("raw lines, with gzip", size / 1e6 / seconds, 60, "MB/s", at_least=True, note="of CPU time"),
        Figure("resident memory, batches of 32 MiB", used.ru_maxrss / 1024, 80, "MiB"),
        Figure("compressed objects, of the raw lines", store.bytes / size, 0.5, ""),
    ]
    return conclude("s3_objects", figures)


if __name__ == "__main__":
    sys.exit(main())
