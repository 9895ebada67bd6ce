"""Real S3 servers for the tests (SeaweedFS, rclone, moto: the extra `peers`), and a gateway that fails on purpose."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from tests.logshipper.receivers.object_store import ACCESS, SECRET, error, unpacked
from tests.support import ROOT, free_port, wait_until

PEERS = ROOT / ".venv" / "peers" / "bin"
FAULTS = ("lost", "503 SlowDown", "500 InternalError", "409 ConditionalRequestConflict", "slow", "cut", "half")


def peer(name: str) -> str:
    """Return the program of a peer. Fails if it is not installed."""
    path = PEERS / name
    assert path.exists(), f"{name} is missing: make .venv/peers.stamp installs it"
    return str(path)


@contextmanager
def running(folder: Path, port: int, *command: str) -> Iterator[str]:
    """Run a server, and yield its address once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server,
    ):
        try:
            wait_until(lambda: server.poll() is not None or _answers(port), f"{command[0]} answers", 60)
            assert server.poll() is None, (folder / "server.log").read_text()[-2000:]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


@contextmanager
def seaweedfs(folder: Path, *, keys: Path | None = None, bucket: str = "") -> Iterator[str]:
    """Yield the address of a SeaweedFS: it checks signatures and checksums, and has conditions.

    `keys`: a file of identities beside the one of the tests. `bucket`: made before, since others may not make one.
    """
    identity = {"accessKey": ACCESS, "secretKey": SECRET}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    folder.mkdir(parents=True, exist_ok=True)
    identities = [{"name": "tests", "credentials": [identity], "actions": actions}]
    identities += json.loads(keys.read_text())["identities"] if keys else []
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    ports = {
        name: free_port() for name in ("s3", "s3.port.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer")
    }
    port = ports["s3"]
    command = [peer("weed"), "server", f"-dir={folder}/data", "-s3", f"-s3.config={folder}/s3.json", f"-s3.port={port}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port.grpc={ports['s3.port.grpc']}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # their own ports are those of another server, too
    command += ["-master.telemetry=false"]  # it would send statistics to its authors
    command += [f"-master.port={ports['master']}", f"-master.port.grpc={ports['master.grpc']}"]
    command += [f"-volume.port={ports['volume']}", f"-volume.port.grpc={ports['volume.grpc']}", "-volume.max=20"]
    command += [f"-filer.port={ports['filer']}", f"-filer.port.grpc={free_port()}", "-master.volumeSizeLimitMB=64"]
    with running(folder, port, *command) as endpoint:
        if bucket:
            with client(endpoint) as s3:
                wait_until(lambda: _makes(s3, bucket), "the bucket", 60)
        yield endpoint


def _makes(s3: Any, bucket: str) -> bool:
    try:
        s3.create_bucket(Bucket=bucket)
    except s3.exceptions.ClientError:  # its parts have not found each other yet
        return False
    return True


@contextmanager
def rclone(folder: Path) -> Iterator[str]:
    """Yield the address of rclone's server: it checks signatures, and ignores conditions and checksums."""
    port = free_port()
    (folder / "data" / "logs").mkdir(parents=True)
    command = [peer("rclone"), "serve", "s3", "--auth-key", f"{ACCESS},{SECRET}", "--addr", f"127.0.0.1:{port}"]
    with running(folder, port, *command, "--config", str(folder / "none"), str(folder / "data")) as endpoint:
        yield endpoint


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Yield the address of moto: S3, STS and the metadata service of an instance. It checks no signature."""
    port = free_port()
    with running(folder, port, peer("moto_server"), "-H", "127.0.0.1", "-p", str(port)) as endpoint:
        with client(endpoint) as s3:
            s3.create_bucket(Bucket="logs")
        yield endpoint


SERVERS = {"seaweedfs": seaweedfs, "moto": moto, "rclone": rclone}


@contextmanager
def client(endpoint: str, keys: tuple[str, str] = (ACCESS, SECRET)) -> Iterator[Any]:
    """Yield botocore's client of a server."""
    made = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}),
    )
    try:
        yield made
    finally:
        made.close()


def objects(endpoint: str, bucket: str = "logs", keys: tuple[str, str] = (ACCESS, SECRET)) -> dict[str, bytes]:
    """Return all objects of a bucket as they are stored; none if there is no bucket."""
    found: dict[str, bytes] = {}
    with client(endpoint, keys) as s3, contextlib.suppress(s3.exceptions.NoSuchBucket):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", ()):
                with s3.get_object(Bucket=bucket, Key=item["Key"])["Body"] as body:
                    found[item["Key"]] = body.read()
    return found


def uploads(endpoint: str, bucket: str = "logs") -> list[str]:
    """Return the keys of uploads of parts that are not over."""
    with client(endpoint) as s3:
        return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


def records(found: dict[str, bytes]) -> list[dict[str, Any]]:
    """Return the records of the objects."""
    return [json.loads(line) for key in sorted(found) for line in unpacked(key, found[key]).splitlines()]


class Gateway:
    """A gateway before a store, which makes a `share` of the requests fail in one of the ways of FAULTS.

    lost: done, but the connection closes without an answer · half: done, and the answer breaks off · cut: the
    connection closes, and nothing is done · slow: done after a pause · a status: that answer, and nothing is done
    """

    def __init__(self, endpoint: str, chance: random.Random, share: float) -> None:
        self.share = share
        self.seen: Counter[str] = Counter()
        self.uploads = 0  # of several parts, that were begun
        gateway = self
        host = endpoint.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                with gateway._lock:
                    fault = chance.choice(FAULTS) if chance.random() < gateway.share else "none"
                    gateway.seen[fault] += 1
                    gateway.uploads += "?uploads" in self.path
                gateway._relay(self, host, fault)

            def do_POST(self) -> None:
                self.do_PUT()

            def do_DELETE(self) -> None:
                self.do_PUT()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a killed client is no error here
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _relay(self, request: BaseHTTPRequestHandler, host: str, fault: str) -> None:
        length = int(request.headers.get("Content-Length", 0))
        body = request.rfile.read(length)
        if len(body) < length or fault == "cut":
            request.close_connection = True
            return
        if fault[:3].isdigit():
            status, _, code = fault.partition(" ")
            self._answer(request, int(status), {}, error(code))
            return
        if fault == "slow":
            time.sleep(0.3)
        backend = http.client.HTTPConnection(host, timeout=60)
        backend.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() != "connection":
                backend.putheader(name, value)
        backend.endheaders(body)
        answer = backend.getresponse()
        text = answer.read()
        backend.close()
        if fault == "lost":
            request.close_connection = True
            return
        kept = {name: value for name, value in answer.getheaders() if name.lower() in ("etag", "date", "content-type")}
        self._answer(request, answer.status, kept, text, half=fault == "half")

    @staticmethod
    def _answer(
        request: BaseHTTPRequestHandler, status: int, fields: dict[str, str], body: bytes, *, half: bool = False
    ) -> None:
        request.send_response_only(status)
        for name, value in fields.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body) + half))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = half

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
