"""List, watch, and go on after whatever an API server does, against one on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trustme

from sidecars.ambassador.discovery.kubernetes import api_client
from sidecars.ambassador.discovery.kubernetes.api_client import ApiClient
from sidecars.ambassador.discovery.kubernetes.api_place import ApiPlace
from sidecars.ambassador.discovery.kubernetes.backoff import Backoff
from sidecars.ambassador.discovery.kubernetes.slice_table import SliceTable
from sidecars.ambassador.discovery.kubernetes.slice_watch import Service, SliceWatch
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime import scrubber
from tests.ambassador.api_server import TOKEN, ApiServer, credentials, endpoint, endpoint_slice
from tests.ambassador.support import Backend, Handler, Peer
from tests.support import PATIENCE


class Seen:
    """What a listener is told."""

    def __init__(self) -> None:
        self.ips: list[list[str]] = []  # after each change
        self.failures: list[str] = []
        self.defects: list[Exception] = []
        self.heard = 0
        self.watches = 0

    def on_slices(self, table: SliceTable) -> None:
        self.ips.append(sorted(each.ip for one in table.slices.values() for each in one.endpoints))

    def on_heard(self) -> None:
        self.heard += 1

    def on_watching(self, _table: SliceTable) -> None:
        self.watches += 1

    def on_api_failure(self, reason: str) -> None:
        self.failures.append(reason)

    def on_defect(self, error: Exception) -> None:
        self.defects.append(error)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - no event announces the condition
                await asyncio.sleep(0.005)
        assert not self.defects

    async def knows(self, *ips: str) -> None:
        await self.until(lambda: self.ips and self.ips[-1] == list(ips))


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    server.put(endpoint_slice("a", [endpoint("127.0.0.2")], 80))
    yield server
    with contextlib.suppress(AssertionError):
        server.stop()


class NoPause(Backoff):
    def next_pause(self, asked: float = 0.0) -> float:
        return min(asked, 0.01)


@contextlib.asynccontextmanager
async def watching(url: str, folder: Path, **environ: str) -> AsyncIterator[Seen]:
    """Follow the Service orders of the namespace shop, with short pauses."""
    files = folder / "credentials"
    if not files.exists():
        credentials(files)
    settings = load(
        Settings,
        {
            "AMBASSADOR_UPSTREAM": "k8s://orders.shop:http",
            "AMBASSADOR_KUBERNETES_API": url,
            "AMBASSADOR_KUBERNETES_ACCOUNT": str(files),
            **environ,
        },
    )
    seen = Seen()
    watch = SliceWatch(ApiClient(ApiPlace(settings, {})), Service("orders", "shop"), seen)
    watch._backoff = NoPause()
    task = asyncio.create_task(watch.run())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


@contextlib.contextmanager
def running(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    backend = Backend(handler, tls=tls)
    try:
        yield backend
    finally:
        backend.stop()


async def test_slices_are_listed_in_pages_and_then_watched(api: ApiServer, tmp_path: Path) -> None:
    for number in range(3, 12):
        api.put(endpoint_slice(f"b{number}", [endpoint(f"127.0.0.{number}")], 80))
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.watches)
        assert len(seen.ips[0]) == 10
        assert api.asked == {"list": 3, "watch": 1}
        api.put(endpoint_slice("a", [endpoint("127.0.0.99")], 80))
        await seen.until(lambda: "127.0.0.99" in seen.ips[-1])
        api.delete("a")
        await seen.until(lambda: "127.0.0.99" not in seen.ips[-1])
        assert len(seen.ips) == 3
    assert not seen.failures


async def test_a_watch_that_ends_is_resumed_from_the_last_bookmark(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.watches)
        heard = seen.heard
        api.bookmark()
        await seen.until(lambda: seen.heard > heard)
        api.compact()
        api.bookmark(0)  # the only version from which a watch may begin now
        await seen.until(lambda: seen.heard > heard + 1)
        api.end_watches()
        await seen.until(lambda: seen.watches == 2)
        api.put(endpoint_slice("a", [endpoint("127.0.0.3")], 80))
        await seen.knows("127.0.0.3")
        assert api.asked["list"] == 1
    assert not seen.failures


async def test_a_version_that_is_too_old_is_listed_again(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.watches)
        api.stop()
        api.put(endpoint_slice("a", [endpoint("127.0.0.3")], 80))
        api.compact()
        api.start()
        await seen.knows("127.0.0.3")
        assert api.asked["list"] == 2


async def test_a_watch_may_break_at_any_byte(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.watches)
        for number, cut in enumerate([0, 1, 2, 50, 200, 300], 10):
            api.cut_watch_after = cut
            watches = seen.watches
            api.end_watches()
            await seen.until(lambda watches=watches: seen.watches > watches)  # type: ignore[misc] # mypy knows no defaults of lambdas
            api.put(endpoint_slice("a", [endpoint(f"127.0.0.{number}")], 80))
            await seen.knows(f"127.0.0.{number}")
        api.cut_watch_after = None
    assert set(seen.failures) <= {"the API server ends each watch at once"}


@pytest.mark.parametrize(
    "raw",
    [b"\x00\xff garbage\n", b"[]\n", b'{"type":"ADDED"}\n', b"{" * 9000 + b"\n", b'{"type":"ERROR","object":{}}\n'],
)
async def test_after_garbage_everything_is_listed_again(api: ApiServer, tmp_path: Path, raw: bytes) -> None:
    api.raw_events = [raw]
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: api.asked["list"] == 2 and seen.watches == 2)
        api.put(endpoint_slice("a", [endpoint("127.0.0.3")], 80))
        await seen.knows("127.0.0.3")
        (failure,) = seen.failures
        assert "the API server" in failure


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"<html>", b'{"kind":"EndpointSliceList","metadata":{},"items":[]}']
)
async def test_a_list_that_is_none_changes_nothing(api: ApiServer, tmp_path: Path, body: bytes) -> None:
    api.raw_list = body
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: len(seen.failures) > 1)
        assert not seen.ips
        api.raw_list = None
        await seen.knows("127.0.0.2")


@pytest.mark.parametrize(
    ("verb", "status", "words"),
    [
        ("list", 403, "may not list EndpointSlices in shop (403): bind a Role there with get, list and watch"),
        ("watch", 403, "may not watch EndpointSlices in shop (403)"),
        ("list", 404, "has no discovery.k8s.io/v1 (404): Kubernetes has it since 1.21"),
        ("list", 503, "the API server answered with 503"),
        ("list", 401, "does not accept the token (401)"),
    ],
)
async def test_a_refusal_is_told_with_its_cure_and_tried_again(
    api: ApiServer, tmp_path: Path, verb: str, status: int, words: str
) -> None:
    api.refusals[verb] = status
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: len(seen.failures) > 1)
        assert words in seen.failures[-1]
        api.refusals.clear()
        await seen.until(lambda: seen.watches)
        await seen.knows("127.0.0.2")


async def test_a_token_that_is_rotated_is_used_with_the_next_request(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.watches)
        api.tokens = {"a.second-token"}
        api.end_watches()
        await seen.until(lambda: any("(401)" in failure for failure in seen.failures))
        credentials(tmp_path / "credentials", token="a.second-token")
        api.put(endpoint_slice("a", [endpoint("127.0.0.3")], 80))
        await seen.knows("127.0.0.3")


async def test_the_token_is_in_no_output_whoever_repeats_it(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.watches)
        assert scrubber.net.scrub(f"the peer said {TOKEN}", "a test") == "the peer said ***"


async def test_files_that_are_missing_or_hold_no_token_are_named(api: ApiServer, tmp_path: Path) -> None:
    files = tmp_path / "credentials"
    files.mkdir()
    async with watching(api.url, tmp_path) as seen:
        await seen.until(lambda: seen.failures)
        assert f"{files}/token cannot be read: No such file or directory" in seen.failures[-1]
        assert "automountServiceAccountToken" in seen.failures[-1]
        (files / "token").write_text("two\r\nlines: x")
        await seen.until(lambda: "holds no bearer token" in seen.failures[-1])
        (files / "token").unlink()
        credentials(files)
        await seen.knows("127.0.0.2")


async def test_outside_of_a_pod_the_setting_is_named(tmp_path: Path) -> None:
    async with watching("", tmp_path) as seen:
        await seen.until(lambda: seen.failures)
        assert "set AMBASSADOR_KUBERNETES_API" in seen.failures[0]


async def test_the_api_server_must_have_a_certificate_of_its_authority(tmp_path: Path) -> None:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    bodies = {"kind": "EndpointSliceList", "metadata": {"resourceVersion": "1"}, "items": []}
    body = json.dumps(bodies).encode()
    files = credentials(tmp_path / "credentials")
    trustme.CA().cert_pem.write_to_path(str(files / "ca.crt"))

    def answer(peer: Peer) -> None:
        if b"watch=true" not in peer.head():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with running(answer, context) as server:
        async with watching(f"https://127.0.0.1:{server.port}", tmp_path) as seen:
            await seen.until(lambda: seen.failures)
            assert "is not accepted: unable to get local issuer certificate" in seen.failures[0]
            ca.cert_pem.write_to_path(str(files / "ca.crt"))
            await seen.until(lambda: seen.ips == [[]])


# -- hostile ------------------------------------------------------------------------------------------------------


def flood(start: bytes, piece: bytes) -> Handler:
    def handle(peer: Peer) -> None:
        peer.head()
        peer.send(start)
        for _ in range(4000):
            peer.send(piece)

    return handle


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (flood(OK, b"X: " + b"y" * 8192 + b"\r\n"), "not HTTP/1.1"),
        (flood(CHUNKED, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"), "too large"),
        (flood(OK + b"Content-Length: 99999999999\r\n\r\n", b"[" * 16384), "too large"),
        (flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, b""), "too many interim responses"),
        (flood(b"SSH-2.0-OpenSSH\r\n", b""), "not HTTP/1.1"),
    ],
    ids=["head", "chunks", "length", "interim", "another protocol"],
)
async def test_what_has_no_end_is_given_up_and_fills_no_memory(handler: Handler, words: str, tmp_path: Path) -> None:
    with running(handler) as server:
        tracemalloc.start()
        async with watching(server.url, tmp_path) as seen:
            await seen.until(lambda: len(seen.failures) > 2)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert words in seen.failures[0]
        assert most < 40 << 20


async def test_an_api_server_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_OPEN_WITHIN", 0.1)

    def silent(peer: Peer) -> None:
        peer.head()
        peer.rest()

    with running(silent) as server:
        async with watching(server.url, tmp_path) as seen:
            await seen.until(lambda: len(seen.failures) > 1)
            assert "did not answer in" in seen.failures[0]
