"""A small Kubernetes API server on loopback, for EndpointSlices alone, written from the documentation of the API.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/. It has resource versions, lists in chunks, watches
with bookmarks and `timeoutSeconds`, 410 for versions that are compacted, tokens, and refusals by verb. A test may cut a
watch after any number of bytes, and let any bytes be its events.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.ambassador.support import Backend, Peer

TOKEN = "a.first-token"

JsonObject = dict[str, Any]


def endpoint(ip: str, *zones: str, ready: bool | None = True, terminating: bool = False) -> JsonObject:
    """Return an endpoint as the controller writes it. One that terminates and serves has ready=False, serving=True."""
    conditions = {"ready": ready, "serving": ready if not terminating else True, "terminating": terminating}
    made: JsonObject = {"addresses": [ip], "conditions": conditions, "nodeName": "node-1"}
    if zones:
        made["hints"] = {"forZones": [{"name": zone} for zone in zones]}
    return made


def leaving(ip: str) -> JsonObject:
    """Return an endpoint whose Pod has got SIGTERM and serves on."""
    return endpoint(ip, ready=False, terminating=True)


def endpoint_slice(
    name: str, endpoints: Iterable[JsonObject], port: int, port_name: str = "http", family: str = "IPv4"
) -> JsonObject:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "orders"}},
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


def credentials(folder: Path, token: str = TOKEN, namespace: str = "shop") -> Path:
    """Write the files of a ServiceAccount as the kubelet does, behind a link that is replaced. Return the directory."""
    folder.mkdir(exist_ok=True)
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir()
    (version / "token").write_text(token)
    (version / "namespace").write_text(namespace)
    link = folder / "..new"
    link.symlink_to(version.name)
    link.rename(folder / "..data")
    for name in ("token", "namespace"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    return folder


class ApiServer:
    """The API server. `asked` counts requests by verb; `refusals` has the status with which a verb is refused."""

    def __init__(self, namespace: str = "shop", service: str = "orders") -> None:
        self.namespace = namespace
        self.service = service
        self.tokens = {TOKEN}
        self.refusals: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.cut_watch_after: int | None = None  # bytes of a watch's body, after which its connection is closed
        self.raw_events: list[bytes] = []  # sent by the next watch before everything else
        self.raw_list: bytes | None = None  # the body of the next lists
        self.page = 500
        self._version = 1000
        self._oldest = 1000
        self._slices: dict[str, JsonObject] = {}
        self._history: list[tuple[int, bytes]] = []
        self._changed = threading.Condition()
        self._backend: Backend | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._backend = Backend(self._serve, self.port)
        self.port = self._backend.port

    def stop(self) -> None:
        """End like a killed process."""
        assert self._backend is not None
        self._backend.stop()
        with self._changed:
            self._backend = None
            self._changed.notify_all()

    # -- what the cluster does --------------------------------------------------------------------------------------

    def put(self, each: JsonObject) -> None:
        """Make or replace a slice."""
        name = each["metadata"]["name"]
        self._commit("MODIFIED" if name in self._slices else "ADDED", each)

    def delete(self, name: str) -> None:
        self._commit("DELETED", self._slices[name])

    def bookmark(self, ahead: int = 10) -> None:
        """Let versions pass in which other objects have changed, and tell it to those who watch."""
        with self._changed:
            self._version += ahead
            metadata = {"resourceVersion": str(self._version)}
            self._append(
                "BOOKMARK", {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": metadata}
            )

    def compact(self) -> None:
        """Forget the history: a watch from an older version than the one after this gets 410."""
        with self._changed:
            self._version += 10
            self._oldest = self._version

    def end_watches(self) -> None:
        """End all watches in an orderly way."""
        with self._changed:
            self._append("END", {})

    def _commit(self, kind: str, each: JsonObject) -> None:
        with self._changed:
            self._version += 1
            metadata = {**each["metadata"], "namespace": self.namespace, "resourceVersion": str(self._version)}
            each = {**each, "metadata": metadata}
            self._slices[metadata["name"]] = each
            if kind == "DELETED":
                del self._slices[metadata["name"]]
            self._append(kind, each)

    def _append(self, kind: str, each: JsonObject) -> None:
        line = b"" if kind == "END" else json.dumps({"type": kind, "object": each}).encode() + b"\n"
        self._history.append((self._version, line))
        self._changed.notify_all()

    # -- requests -----------------------------------------------------------------------------------------------------

    def _serve(self, peer: Peer) -> None:
        head = peer.head().decode()
        if not head:
            return
        method, _, rest = head.partition(" ")
        path, _, query = rest.split(" ")[0].partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        verb = "watch" if asked.get("watch") == "true" else "list"
        self.asked[verb] += 1
        token = re.search(r"(?i)\r\nauthorization: bearer (\S+)", head)
        expected = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        if token is None or token[1] not in self.tokens:
            self._refuse(peer, 401, "Unauthorized")
        elif verb in self.refusals:
            self._refuse(peer, self.refusals[verb], "Forbidden")
        elif method != "GET" or path != expected:
            self._refuse(peer, 404, "NotFound")
        elif asked.get("labelSelector") != f"kubernetes.io/service-name={self.service}":
            self._refuse(peer, 400, "BadRequest")
        elif verb == "watch":
            self._watch(peer, asked)
        else:
            self._list(peer, asked)

    def _refuse(self, peer: Peer, status: int, reason: str) -> None:
        _respond(peer, status, json.dumps(_status(status, reason)).encode())

    def _list(self, peer: Peer, asked: dict[str, str]) -> None:
        with self._changed:
            begin, limit = int(asked.get("continue", "0")), min(self.page, int(asked.get("limit", "500")))
            items = list(self._slices.values())
            metadata: JsonObject = {"resourceVersion": str(self._version)}
            if begin + limit < len(items):
                metadata["continue"] = str(begin + limit)
            found = {"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": metadata}
            body = json.dumps({**found, "items": items[begin : begin + limit]}).encode()
        _respond(peer, 200, body if self.raw_list is None else self.raw_list)

    def _watch(self, peer: Peer, asked: dict[str, str]) -> None:
        since, backend = int(asked["resourceVersion"]), self._backend
        until = time.monotonic() + int(asked.get("timeoutSeconds", "1800"))
        events = _Events(peer, self.cut_watch_after)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        with self._changed:
            lines, self.raw_events = self.raw_events, []
            if since < self._oldest:
                lines = [json.dumps({"type": "ERROR", "object": _status(410, "Expired")}).encode() + b"\n", b""]
            position = sum(version <= since for version, _ in self._history)
        while events.send(lines) and backend is self._backend and time.monotonic() < until:
            with self._changed:
                if position == len(self._history):
                    self._changed.wait(0.05)
                lines = [line for _, line in self._history[position:]]
                position += len(lines)


class _Events:
    """The body of a watch. An empty line ends it; so does the byte after which it is cut."""

    def __init__(self, peer: Peer, cut_after: int | None) -> None:
        self._peer = peer
        self._left = cut_after

    def send(self, lines: Iterable[bytes]) -> bool:
        """Send the lines; return False at the end of the watch."""
        for line in lines:
            if not line:
                self._peer.send(b"0\r\n\r\n")
                return False
            part = line if self._left is None else line[: self._left]
            if part:
                self._peer.send(b"%x\r\n%b\r\n" % (len(part), part))
            if len(part) < len(line):
                return False
            self._left = None if self._left is None else self._left - len(line)
        return True


def _status(code: int, reason: str) -> JsonObject:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}


def _respond(peer: Peer, status: int, body: bytes) -> None:
    peer.send(
        b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    )
