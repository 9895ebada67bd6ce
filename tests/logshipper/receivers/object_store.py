"""An object store of our own: strict about signatures and checksums, with conditions, uploads of parts, and faults."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS, SECRET = "AKIDEXAMPLE", "secret-key-of-the-tests"
_UNSIGNED = {"authorization", "user-agent", "content-length", "connection", "accept-encoding"}


class ObjectStore:
    """A store with one bucket, `logs`. Every request is checked; a wrong one is noted in `wrong`, and fails.

    `faults` are taken one by one, for the next requests: `lost` (done, but the connection closes without an answer), a
    status with an error code (`503 SlowDown`: nothing is done), `error-in-200` (a completion that fails). `knows`: what
    the store has of conditions and checksums.
    """

    def __init__(self, *, knows: tuple[str, ...] = ("if-none-match", "x-amz-checksum-sha256")) -> None:
        self.objects: dict[str, bytes] = {}
        self.fields: dict[str, dict[str, str]] = {}  # of the request that made the object
        self.stored: list[str] = []  # the keys of requests that made an object, in order
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.requests: list[tuple[str, str]] = []  # method and target
        self.faults: list[str] = []
        self.wrong: list[str] = []
        self.secrets = {ACCESS: SECRET}
        self.ends: dict[str, float] = {}  # access key -> seconds since 1970 at which it ends
        self.largest = 1 << 40  # bytes of a request
        self.smallest_part = 5 * 2**20  # bytes of each part of an upload but the last one
        self.lock = threading.RLock()
        self.before: Callable[[str, str], None] = lambda _method, _target: None
        self._knows = knows
        self._keys_of_uploads: dict[str, tuple[str, dict[str, str]]] = {}
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                store._respond(self)

            def do_POST(self) -> None:
                store._respond(self)

            def do_DELETE(self) -> None:
                store._respond(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a killed client is no error here
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def settings(self, **others: str) -> dict[str, str]:
        """Return the settings of a sink for this store, named without their prefix."""
        own = {"sink_endpoint": self.endpoint, "sink_username": ACCESS, "sink_password": SECRET}
        return {**own, **others}

    def records(self) -> list[dict[str, Any]]:
        """Return the records in all objects."""
        with self.lock:
            found = sorted(self.objects.items())
        return [json.loads(line) for key, body in found for line in unpacked(key, body).splitlines()]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- one request ---------------------------------------------------------------------------------------------------

    def _respond(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length", 0))
        body = request.rfile.read(length)
        if len(body) < length:
            request.close_connection = True
            return  # the client was killed while it sent the body
        self.before(request.command, request.path)
        fields = {name.lower(): value for name, value in request.headers.items()}
        with self.lock:
            self.requests.append((request.command, request.path))
            fault = self.faults.pop(0) if self.faults else ""
            status, answer, added = self._answer(request, fields, body, fault)
        if fault == "lost":
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in added.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _answer(
        self, request: BaseHTTPRequestHandler, fields: dict[str, str], body: bytes, fault: str
    ) -> tuple[int, bytes, dict[str, str]]:
        if fault[:3].isdigit():
            status, _, code = fault.partition(" ")
            return int(status), error(code), {}
        if problem := self._problem(request, fields, body):
            self.wrong.append(problem)
            code = "ExpiredToken" if "ended" in problem else "SignatureDoesNotMatch"
            return 400 if code == "ExpiredToken" else 403, error(code, problem), {}
        for name in ("if-none-match", "x-amz-checksum-sha256"):
            if name in fields and name not in self._knows:
                named = f"<Header>{name}</Header>"
                return 501, error("NotImplemented", "A header you provided is not implemented", named), {}
        if len(body) > self.largest:
            return 400, error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"), {}
        parts = urlsplit(request.path)
        bucket, _, key = parts.path.lstrip("/").partition("/")
        if bucket != "logs":
            return 404, error("NoSuchBucket", "The specified bucket does not exist"), {}
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return self._do(request.command, key, query, fields, body, fault)

    def _problem(self, request: BaseHTTPRequestHandler, fields: dict[str, str], body: bytes) -> str:
        """Return what is wrong with the signature or a checksum; "" if nothing is."""
        if fields.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
            return "x-amz-content-sha256 is not that of the body"
        checksum = fields.get("x-amz-checksum-sha256")
        if checksum and checksum != b64encode(hashlib.sha256(body).digest()).decode():
            return "x-amz-checksum-sha256 is not that of the body"
        access = fields.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        if time.time() >= self.ends.get(access, math.inf):
            return f"{access} has ended"
        signed = {name: value for name, value in fields.items() if name not in _UNSIGNED}
        made = AWSRequest(request.command, f"http://{fields['host']}{request.path}", headers=signed, data=body)
        made.context["timestamp"] = fields["x-amz-date"]
        signer = auth.S3SigV4Auth(Credentials(access, self.secrets.get(access, "")), "s3", "us-east-1")
        text = signer.string_to_sign(made, signer.canonical_request(made))
        wanted = signer.signature(text, made)
        return "" if fields["authorization"].endswith(f"Signature={wanted}") else "the signature is wrong"

    def _do(
        self, method: str, key: str, query: dict[str, str], fields: dict[str, str], body: bytes, fault: str
    ) -> tuple[int, bytes, dict[str, str]]:
        upload = query.get("uploadId", "")
        if method == "POST" and "uploads" in query:
            made = f"upload+{len(self._keys_of_uploads)}="
            self.uploads[made], self._keys_of_uploads[made] = {}, (key, fields)
            return 200, f"<InitiateMultipartUploadResult><UploadId>{made}</UploadId></I>".encode(), {}
        if upload and upload not in self.uploads:
            return 404, error("NoSuchUpload", "The specified upload does not exist"), {}
        if method == "DELETE":
            del self.uploads[upload]
            return 204, b"", {}
        if method == "PUT" and upload:
            self.uploads[upload][int(query["partNumber"])] = body
            return 200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        return self._make_object(key, upload, fields, body, fault)

    def _make_object(
        self, key: str, upload: str, fields: dict[str, str], body: bytes, fault: str
    ) -> tuple[int, bytes, dict[str, str]]:
        if fields.get("if-none-match") == "*" and key in self.objects:
            return 412, error("PreconditionFailed", "At least one of the pre-conditions did not hold"), {}
        if fault == "error-in-200":
            return 200, error("InternalError", "We encountered an internal error. Please try again."), {}
        if upload:
            parts = self.uploads.pop(upload)
            assert body.count(b"<PartNumber>") == len(parts)
            assert all(len(part) >= self.smallest_part for number, part in parts.items() if number < len(parts))
            body, fields = b"".join(parts[number] for number in sorted(parts)), self._keys_of_uploads[upload][1]
        self.objects[key], self.fields[key] = body, fields
        self.stored.append(key)
        return 200, b"", {"ETag": '"0"'}


def error(code: str, message: str = "", further: str = "") -> bytes:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{further}</Error>'.encode()


def unpacked(key: str, body: bytes) -> bytes:
    """Return the content of an object by the extension of its key."""
    if key.endswith(".gz"):
        return gzip.decompress(body)
    if key.endswith(".zst"):
        from backports import zstd  # noqa: PLC0415 - few tests need it

        return zstd.decompress(body)
    return body
