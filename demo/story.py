"""The story of the demo, act by act. Each act does something to the Pod, and adds the results to the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from demo.ledger import Ledger
from demo.receiver import Receiver
from demo.stage import Actor, Broken, Stage, responds, until
from demo.view import View

REPLICAS = 3
WAR_SIZE = 5_000_000  # bytes
CUSTOMERS = 6
PAUSE = 0.02  # seconds between two orders of a customer
PROMPT = 30.0  # seconds: far above the adapter's deadline of 0.75 s, for busy machines; far below a hang
SECOND_LOOK = 1.5  # seconds of load after each mishap


@dataclass
class Traffic:
    """The orders of all customers so far."""

    confirmed: int = 0
    failed: int = 0
    by_replica: Counter[int] = field(default_factory=Counter)
    last_failure: str = ""


class Story:
    """One run of the demo."""

    def __init__(self, stage: Stage, view: View, ledger: Ledger, client: httpx.AsyncClient) -> None:
        self.stage, self.view, self.ledger, self.client = stage, view, ledger, client
        self.receiver = Receiver()
        self.traffic = Traffic()
        self.closing = asyncio.Event()
        self.app_port, self.ambassador_port, self.health_port = stage.port(), stage.port(), stage.port()
        self.admin = {name: stage.port() for name in ("logshipper", "ambassador", "adapter")}
        self.backend_ports = [stage.port() for _ in range(REPLICAS)]

    async def perform(self) -> None:
        await self.the_init_container_publishes_the_war()
        await self.the_pod_starts()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CUSTOMERS):
                tasks.create_task(self.customer())
            tasks.create_task(self.watch())
            try:
                await self.health_is_answered_from_metrics()
                await self.a_replica_is_killed()
                await self.the_log_rotates_in_mid_write_while_its_storage_is_down()
                await self.the_shipper_is_killed()
                await self.the_app_hangs()
                await self.a_setting_is_misspelt()
            finally:
                self.closing.set()
        await self.the_pod_ends()
        self.balance()

    # -- the acts ------------------------------------------------------------------------------------------------

    async def the_init_container_publishes_the_war(self) -> None:
        source, target = self.stage.folder / "artifacts" / "shop.war", self.stage.folder / "webapps" / "shop.war"
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as war:
            war.writestr("WEB-INF/web.xml", "<web-app/>")
            war.writestr("index.html", "<h1>The shop</h1>")
            war.writestr("catalogue.bin", os.urandom(WAR_SIZE))
        digest = _digest(source)
        code = await self._copy(source)
        self.ledger.expect("warcopier", "exit code of the first run", 0, code)
        self.ledger.expect("warcopier", "digest of the WAR in webapps", digest, _digest(target))
        self.view.say("warcopier", f"published shop.war, sha256 {digest[:12]}…")
        if not self.ledger.holds:
            raise Broken("the init container has not done its work, so the Pod does not start")
        before = target.stat()
        code = await self._copy(source)
        untouched = (before.st_mtime_ns, before.st_ino) == (target.stat().st_mtime_ns, target.stat().st_ino)
        self.ledger.expect("warcopier", "a second run exits with 0 and touches nothing", (0, True), (code, untouched))
        self.view.say("warcopier", "ran again, as after a Pod restart: nothing to do")
        broken = self.stage.folder / "broken.war"
        broken.write_bytes(source.read_bytes()[:-100])
        code = await self._copy(broken)
        names = sorted(path.name for path in target.parent.iterdir() if not path.name.startswith("."))
        self.ledger.expect("warcopier", "a cut-off WAR: exit code 65", 65, code)
        self.ledger.expect("warcopier", "and nothing else in webapps", ["shop.war"], names)
        self.view.say("warcopier", f"refused a cut-off WAR: {self.stage.actors[-1].last_words}")
        self.view.now("warcopier", f"done: shop.war, sha256 {digest[:12]}…")

    async def _copy(self, source: Path) -> int:
        webapps = self.stage.folder / "webapps"
        return await (await self.stage.sidecar("warcopier", WARCOPIER_SOURCE=source, WARCOPIER_TARGET=webapps)).ended()

    async def the_pod_starts(self) -> None:
        folder = self.stage.folder
        self.backends = [
            await self.stage.script(f"replica {number}", "backend.py", port, number)
            for number, port in enumerate(self.backend_ports, 1)
        ]
        self.shipper = await self._start_shipper()
        self.ambassador = await self.stage.sidecar(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{self.ambassador_port}",
            AMBASSADOR_UPSTREAM=",".join(f"http://127.0.0.1:{port}" for port in self.backend_ports),
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{self.admin['ambassador']}",
        )
        self.adapter = await self.stage.sidecar(
            "adapter",
            ADAPTER_LISTEN=f"127.0.0.1:{self.health_port}",
            ADAPTER_TARGET=f"http://127.0.0.1:{self.app_port}",
            ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{self.admin['adapter']}",
        )
        for name in ("logshipper", "ambassador", "adapter"):
            await self._ready(name)
        self.view.say("the Pod", "three sidecars are ready before the app starts")
        self.app = await self.stage.script(
            "app",
            "app.py",
            self.app_port,
            folder / "webapps",
            folder / "logs" / "app.log",
            f"http://127.0.0.1:{self.ambassador_port}",
        )
        page = f"http://127.0.0.1:{self.app_port}/shop/"
        await until(lambda: responds(self.client, page), "the app serves its page")
        self.view.say("app", f"serves {page} and dials one address only, 127.0.0.1:{self.ambassador_port}")

    async def _start_shipper(self) -> Actor:
        return await self.stage.sidecar(
            "logshipper",
            LOGSHIPPER_PATHS=self.stage.folder / "logs" / "app.log*",
            LOGSHIPPER_SINK=self.receiver.url,
            LOGSHIPPER_STATE_DIR=self.stage.folder / "state",
            LOGSHIPPER_ADMIN_LISTEN=f"127.0.0.1:{self.admin['logshipper']}",
        )

    async def _ready(self, name: str) -> None:
        url = f"http://127.0.0.1:{self.admin[name]}/readyz"
        await until(lambda: responds(self.client, url), f"{name} is ready")

    async def health_is_answered_from_metrics(self) -> None:
        status, seconds, _ = await self.health()
        self.ledger.expect("adapter", "/health of an app that only has /metrics", 200, status)
        self.view.say("adapter", f"/health is {status} after {seconds * 1000:.0f} ms; the app only knows /metrics")

    async def a_replica_is_killed(self) -> None:
        await until(lambda: len(self.traffic.by_replica) == REPLICAS, "each replica confirms orders")
        self.ledger.expect("ambassador", "replicas that confirm orders", REPLICAS, len(self.traffic.by_replica))
        await asyncio.sleep(SECOND_LOOK)
        self.backends[1].process.kill()
        await self.backends[1].ended()
        self.view.say("ambassador", "replica 2 was killed in the middle of its work")
        await asyncio.sleep(SECOND_LOOK)
        before = self.traffic.by_replica[2]
        self.backends[1] = await self.stage.script("replica 2", "backend.py", self.backend_ports[1], 2)
        await until(lambda: self.traffic.by_replica[2] > before, "the replica is used again")
        self.view.say("ambassador", f"replica 2 is back and in use; failed orders so far: {self.traffic.failed}")

    async def the_log_rotates_in_mid_write_while_its_storage_is_down(self) -> None:
        self.receiver.broken = True
        await until(lambda: self.receiver.refused > 0, "the storage refuses a batch")
        self.view.say("logshipper", "the log storage answers 503 to everything")
        for number in (1, 2):
            self.app.signal(signal.SIGHUP)
            rotated = self.stage.folder / "logs" / f"app.log.{number}"
            await until(rotated.exists, "the app rotates its log")
            self.view.say("logshipper", f"the app renamed its log to {rotated.name} in the middle of a line")
        await asyncio.sleep(SECOND_LOOK)
        self.receiver.broken = False
        before = self.receiver.received.total()
        await until(lambda: self.receiver.received.total() > before, "lines arrive again")
        self.view.say("logshipper", "the storage is back, and the lines are arriving")

    async def the_shipper_is_killed(self) -> None:
        """Kill it at the worst time: the storage has the lines, and the shipper has no response yet."""
        self.receiver.silent = True
        await until(lambda: self.receiver.kept_silently > 0, "a batch is on its way")
        self.shipper.process.kill()
        await self.shipper.ended()
        self.receiver.silent = False
        self.view.say(
            "logshipper", "was killed with -9 after a batch had arrived and before it heard so; it is started again"
        )
        self.shipper = await self._start_shipper()
        await self._ready("logshipper")
        await asyncio.sleep(SECOND_LOOK)

    async def the_app_hangs(self) -> None:
        self.app.signal(signal.SIGSTOP)
        try:
            status, seconds, reason = await self.health()
        finally:
            self.app.signal(signal.SIGCONT)
        self.ledger.expect("adapter", "/health while the app hangs", 503, status)
        self.ledger.expect("adapter", "and the 503 did not wait for the app", True, seconds < PROMPT)
        self.view.say("adapter", f"the app hangs: {status} after {seconds:.2f} s: {reason}")

        async def healthy() -> bool:
            return (await self.health())[0] == httpx.codes.OK

        self.ledger.expect("adapter", "/health after it went on", True, await until(healthy, "healthy again"))
        self.view.say("adapter", "the app goes on: 200 again")

    async def a_setting_is_misspelt(self) -> None:
        wrong = await self.stage.sidecar("ambassador", AMBASSADOR_UPSTREEM="http://orders:80")
        code = await wrong.ended()
        self.ledger.expect("ambassador", "a misspelt setting: exit code 78", 78, code)
        self.view.say("ambassador", " ".join(wrong.last_words.split()))

    async def the_pod_ends(self) -> None:
        code = await self.app.stop()
        self.ledger.expect("app", "exit code", 0, code)
        for name, actor in (("adapter", self.adapter), ("ambassador", self.ambassador), ("logshipper", self.shipper)):
            began = time.monotonic()
            code = await actor.stop()
            self.ledger.expect(name, "exit code after SIGTERM", 0, code)
            self.view.say(name, f"drained and gone in {time.monotonic() - began:.2f} s, exit code {code}")

    def balance(self) -> None:
        """Compare lines written with lines delivered, and orders placed with orders confirmed."""
        files = sorted((self.stage.folder / "logs").iterdir())
        written = [line for path in files for line in path.read_text().splitlines()]
        received, ids = self.receiver.received, self.receiver.ids
        self.ledger.expect("ambassador", f"failed of {self.traffic.confirmed} orders", 0, self.traffic.failed)
        self.ledger.expect("logshipper", "generations of the log file", 3, len(files))
        self.ledger.expect("logshipper", "lines written = lines delivered", len(written), len(received))
        self.ledger.expect("logshipper", "and each is the line that was written", True, set(written) == set(received))
        repeats = received.total() - len(received)
        repeated_ids = ids.total() - len(ids)
        self.ledger.expect("logshipper", "lines sent again after kill -9", True, repeats > 0)
        self.ledger.expect("logshipper", "of these, lines that carry an id already seen", repeats, repeated_ids)
        if self.traffic.last_failure:
            self.view.say("ambassador", f"the last failure: {self.traffic.last_failure}")

    # -- running all the time ------------------------------------------------------------------------------------

    async def customer(self) -> None:
        """Place one order after the other until the shop closes."""
        while not self.closing.is_set():
            try:
                response = await self.client.get(f"http://127.0.0.1:{self.app_port}/shop/order")
                response.raise_for_status()
                self.traffic.by_replica[response.json()["replica"]] += 1
                self.traffic.confirmed += 1
            except httpx.HTTPError as error:
                self.traffic.failed += 1
                self.traffic.last_failure = f"{error} {getattr(getattr(error, 'response', None), 'text', '')}"
            await asyncio.sleep(PAUSE)

    async def watch(self) -> None:
        """Update the live rows of the view."""
        while not self.closing.is_set():
            shares = " · ".join(f"replica {n}: {count}" for n, count in sorted(self.traffic.by_replica.items()))
            self.view.now("ambassador", f"{self.traffic.confirmed} orders, {self.traffic.failed} failed   {shares}")
            self.view.now("logshipper", f"{len(self.receiver.received)} lines delivered")
            await asyncio.sleep(0.1)

    async def health(self) -> tuple[int, float, str]:
        """Return status, seconds and the last line of the reason, as a monitoring system sees them."""
        began = time.monotonic()
        response = await self.client.get(f"http://127.0.0.1:{self.health_port}/health")
        self.view.now("adapter", f"/health: {response.status_code}")
        return response.status_code, time.monotonic() - began, response.text.strip().rpartition("\n")[2]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "there is no such file"
