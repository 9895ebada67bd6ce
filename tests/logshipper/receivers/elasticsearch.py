"""The bulk API of Elasticsearch and OpenSearch, which keeps documents by their ids."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.logshipper.support import Receiver

_INDEX = re.compile(r"[^-_+.A-Z\\/*?\"<>| ,#:][^A-Z\\/*?\"<>| ,#:]{0,254}")


class Elasticsearch(Receiver):
    """Stores documents. `verdicts[message]`: statuses for the document of that message, in order (0: store)."""

    path = "/logs"

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.url = f"elasticsearch+{self.url}"
        self.documents: dict[str, dict[str, Any]] = {}
        self.indexes: set[tuple[str, str]] = set()  # index and id of each document
        self.verdicts: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()  # id -> number of attempts to create it

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if parts.path not in ("/logs/_bulk", "/_bulk"):
            return 404, b'{"error":"no handler found"}'
        assert headers["Content-Type"] == "application/x-ndjson"
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if not body.endswith(b"\n"):
            return 400, b'{"error":{"reason":"The bulk request must be terminated by a newline [\\\\n]"}}'
        lines = body.split(b"\n")[:-1]
        pairs = zip(lines[::2], lines[1::2], strict=True)
        default = parts.path.removesuffix("/_bulk").removeprefix("/")
        items = [self._create(json.loads(action), document, default) for action, document in pairs]
        response: dict[str, Any] = {
            "took": 1,
            "errors": any(item["create"]["status"] > 299 for item in items),
            "items": items,
        }
        self.queries = parse_qs(parts.query)
        if "filter_path" in self.queries:
            wanted = "errors,items.*.status,items.*.error.type,items.*.error.reason"
            assert self.queries["filter_path"] == [wanted]
            del response["took"]
            for item in items:
                del item["create"]["_id"]
        return 200, json.dumps(response).encode()

    def _create(self, action: Any, line: bytes, default: str) -> dict[str, Any]:
        assert list(action) == ["create"], "a data stream accepts nothing else"
        ident = action["create"]["_id"]
        index = action["create"].get("_index", default)
        assert _INDEX.fullmatch(index), "an illegal name of an index"
        assert len(ident.encode()) <= 512
        document = json.loads(line)
        assert "@timestamp" in document, "a data stream asks for it"
        self.asked[ident] += 1
        waiting = self.verdicts.get(document.get("message"), [])
        status = waiting.pop(0) if waiting else 0
        if status:
            preview = f"Preview of field's value: '{document['message']}'"
            reason = f"failed to parse field [n] of type [long] in document with id '{ident}'. {preview}"
            return {"create": {"_id": ident, "status": status, "error": {"type": "some_exception", "reason": reason}}}
        if (index, ident) in self.indexes:
            error = {"type": "version_conflict_engine_exception", "reason": f"[{ident}]: version conflict"}
            return {"create": {"_id": ident, "status": 409, "error": error}}
        self.indexes.add((index, ident))
        self.documents[ident] = document
        return {"create": {"_id": ident, "status": 201}}
