"""The how-to pages of the ambassador: their settings are used, their commands typed, and what they show is shown."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path

import yaml

from tests.ambassador.collector import Collector
from tests.ambassador.proxies import connect_proxy
from tests.ambassador.support import Ambassador, Handler, Peer, answering, backends, joined
from tests.conftest import Start
from tests.support import ROOT, free_port, wait_until
from tools.documents.blocks import blocks_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
REFUSAL = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"


class Page:
    """A page, with other values for some of its settings: those that name a place that is not here."""

    def __init__(self, name: str) -> None:
        file = f"docs/how-to/{name}.md"
        blocks = blocks_of((ROOT / file).read_text(), file)
        listed = [one for block in blocks if block.language == "yaml" for one in yaml.safe_load(block.text)]
        self.settings: dict[str, str] = {one["name"]: one["value"] for one in listed if "value" in one}
        self.consoles = [block.text for block in blocks if block.language == "console"]

    def start(self, start: Start, **changes: str) -> Ambassador:
        for name in changes:
            assert f"AMBASSADOR_{name}" in self.settings, f"the page does not set {name}"
        return started(start, self.settings | {f"AMBASSADOR_{name}": value for name, value in changes.items()})

    def type(self, ambassador: Ambassador, console: int = 0) -> None:
        """Type the commands of a block, and require that each prints the lines that stand below it, in their order."""
        for command, wanted in _transcripts(self.consoles[console]):
            shown = typed(command, ambassador)
            lines = iter(shown.splitlines())
            for line in wanted:
                pattern = ".*".join(map(re.escape, line.split("…")))
                assert any(re.fullmatch(pattern, each) for each in lines), f"{command}: {line}\n{shown}"


def typed(command: str, ambassador: Ambassador) -> str:
    """Return the output of a command, in which the ambassador has its usual ports."""
    command = command.replace("127.0.0.1:8500", f"127.0.0.1:{ambassador.port}")
    command = command.replace("127.0.0.1:9913", f"127.0.0.1:{ambassador.admin}")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


def started(start: Start, settings: dict[str, str]) -> Ambassador:
    return Ambassador(start, "", **{name.removeprefix("AMBASSADOR_"): value for name, value in settings.items()})


def _transcripts(text: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def each_tenth_is_slow() -> Handler:
    """Return a handler that makes a pause in each tenth request, once the quantile of the times is known."""
    served = [0]
    lock = threading.Lock()

    def handle(peer: Peer) -> None:
        while peer.head():
            with lock:
                served[0] += 1
                is_slow = served[0] > 100 and served[0] % 10 == 0
            if is_slow:
                time.sleep(1.0)
            peer.send(OK)

    return handle


def naming(name: bytes) -> Handler:
    """Return a handler that answers with its name and the path that it got."""

    def handle(peer: Peer) -> None:
        while head := peer.head():
            body = b"%b: %b\n" % (name, head.split(b" ")[1])
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return handle


def test_call_through_a_proxy(start: Start, tmp_path: Path) -> None:
    page = Page("call-through-a-proxy")
    (tmp_path / "password").write_text("s3cretpass")
    with backends(answering(b"ok\n")) as (service,), connect_proxy({"api.example.com:80": service.port}) as proxy:
        changes = {
            "UPSTREAM": "http://api.example.com",
            "PROXY": f"http://shop@127.0.0.1:{proxy.port}",
            "PROXY_PASSWORD_FILE": str(tmp_path / "password"),
        }
        page.type(page.start(start, **changes))
        assert b"\r\nProxy-Authorization: Basic c2hvcDpzM2NyZXRwYXNz\r\n" in proxy.requests[0]
        proxy.answer = REFUSAL
        page.type(page.start(start, **changes), 1)


def test_mirror_requests(start: Start) -> None:
    page = Page("mirror-requests")
    copies: list[bytes] = []
    with backends(answering(b"old"), answering(b"new", seen=copies)) as (old, new):
        page.type(
            page.start(
                start, ORDERS_UPSTREAM=old.url, SHADOW_UPSTREAM=new.url, SHADOW_LISTEN=f"127.0.0.1:{free_port()}"
            )
        )
        wait_until(lambda: len(copies) >= 10, "the copies")
    assert [b"\r\nX-Shadow: orders\r\n" in head for head in copies] == [True] * 10


def test_cut_the_tail(start: Start) -> None:
    page = Page("cut-the-tail")
    with backends(each_tenth_is_slow(), answering(b"ok\n")) as running:
        ambassador = page.start(start, UPSTREAM=joined(running))
        (_, wanted), (command, (line,)) = (*_transcripts(page.consoles[0]), *_transcripts(page.consoles[1]))
        assert wanted  # a time, which is not compared
        hedges = 0.0
        for _ in range(20):  # the balancer avoids a slow replica, too: some rounds have no hedge
            for _ in range(300):
                assert ambassador.ask()[0] == 200
            name, _, number = typed(command, ambassador).rpartition(" ")
            assert name == line.rpartition(" ")[0]
            hedges = float(number)
            if hedges:
                break
        assert hedges > 0


def test_limit_requests(start: Start) -> None:
    page = Page("limit-requests")
    running_ambassador: list[Ambassador] = []

    def serve_when_the_others_are_refused(peer: Peer) -> None:
        if peer.head():
            (ambassador,) = running_ambassador
            wait_until(lambda: ambassador.metric("ambassador_upstream_refused_requests_total") == 2, "two refusals")
            peer.send(OK)

    with backends(serve_when_the_others_are_refused) as (slow,):
        running_ambassador.append(page.start(start, UPSTREAM=slow.url))
        page.type(running_ambassador[0])
    with backends(answering(b"ok\n")) as running:
        page.type(Ambassador(start, joined(running), RATE_LIMIT="10/m", RATE_BURST="3"), 1)


def test_one_port_for_several_services(start: Start) -> None:
    page = Page("one-port-for-several-services")
    with backends(naming(b"shop"), naming(b"orders")) as (shop, orders):
        page.type(page.start(start, SHOP_UPSTREAM=shop.url, ORDERS_UPSTREAM=f"{orders.url}/api/v2"))


def test_traces(start: Start) -> None:
    page = Page("traces")
    with backends(answering(b"ok\n")) as (service,), Collector() as collector:
        ambassador = page.start(start, UPSTREAM=service.url, TRACES_ENDPOINT=collector.url)
        page.type(ambassador)
        wait_until(lambda: ambassador.metric("ambassador_spans_total", outcome="exported") == 2, "the export")
        page.type(ambassador, 1)
        assert {span.trace_id.hex() for span in collector.spans} == {"0af7651916cd43dd8448eb211c80319c"}
