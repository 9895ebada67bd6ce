"""The story of the demo, act by act. Each act does something to the Pod, and adds the results to the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import httpx

from demo.events import Journal, Part, Way
from demo.ledger import Ledger
from demo.log_lines import LogLines
from demo.outside import Outside
from demo.receiver import Receiver
from demo.stage import Actor, Broken, Stage, responds, until

REPLICAS = 3
REPLICA: Mapping[int, Literal["replica 1", "replica 2", "replica 3"]] = {1: "replica 1", 2: "replica 2", 3: "replica 3"}
WAR_SIZE = 5_000_000  # bytes
CUSTOMERS = 6
PROMPT = 30.0  # seconds: far above the adapter's deadline of 0.75 s, for busy machines; far below a hang
SECOND_LOOK = 1.5  # seconds of load after each mishap
GLANCE = 0.15  # seconds between two looks at the figures that the views show
LOCAL = "http://127.0.0.1"


class Story:
    """One run of the demo."""

    def __init__(self, stage: Stage, journal: Journal, ledger: Ledger, client: httpx.AsyncClient) -> None:
        self.stage, self.journal, self.ledger, self.client = stage, journal, ledger, client
        self.receiver = Receiver()
        self.log_lines = LogLines(stage.folder / "logs")
        self.published = 0
        self.starting: dict[int, int] = {}  # replica that has not confirmed an order yet -> its orders before
        self.app_port, self.ambassador_port, self.health_port = stage.port(), stage.port(), stage.port()
        self.outside = Outside(
            client, journal, f"{LOCAL}:{self.app_port}/shop/order", f"{LOCAL}:{self.health_port}/health"
        )
        self.traffic = self.outside.traffic
        self.admin = {name: stage.port() for name in ("logshipper", "ambassador", "adapter")}
        self.backend_ports = [stage.port() for _ in range(REPLICAS)]

    async def perform(self) -> None:
        async with self.receiver:
            await self._perform()

    async def _perform(self) -> None:
        self.journal.act("init", "The init container publishes the WAR")
        await self.the_init_container_publishes_the_war()
        self.journal.act("start", "The sidecars start, and then the app")
        await self.the_pod_starts()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CUSTOMERS):
                tasks.create_task(self.outside.customer())
            tasks.create_task(self.outside.monitor())
            tasks.create_task(self.watch())
            try:
                self.journal.act("health", "Customers order, and a monitor asks for the health")
                await self.health_is_answered_from_metrics()
                self.journal.act("replica", "On purpose: a replica is killed in the middle of its work")
                await self.a_replica_is_killed()
                self.journal.act("storage", "On purpose: the storage is down, and the log rotates in mid-line")
                await self.the_log_rotates_in_mid_write_while_its_storage_is_down()
                self.journal.act("shipper", "On purpose: the shipper is killed before it hears that lines arrived")
                await self.the_shipper_is_killed()
                self.journal.act("hang", "On purpose: the app hangs")
                await self.the_app_hangs()
                self.journal.act("setting", "On purpose: a setting is misspelt")
                await self.a_setting_is_misspelt()
            finally:
                self.outside.closing.set()
        self.journal.act("end", "The Pod ends: first the app, then the sidecars")
        await self.the_pod_ends()
        self.glance()
        self.journal.act("ledger", "The ledger: what was written, and what arrived")
        self.balance()

    # -- the acts ------------------------------------------------------------------------------------------------

    async def the_init_container_publishes_the_war(self) -> None:
        source, target = self.stage.folder / "artifacts" / "shop.war", self.stage.folder / "webapps" / "shop.war"
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as war:
            war.writestr("WEB-INF/web.xml", "<web-app/>")
            war.writestr("index.html", "<h1>The shop</h1>")
            war.writestr("catalogue.bin", os.urandom(WAR_SIZE))
        digest = _digest(source)
        self.journal.became("warcopier", "running", "copies shop.war")
        code = await self._copy(source)
        self.ledger.expect("warcopier", "exit code of the first run", 0, code)
        self.ledger.expect("warcopier", "digest of the WAR in webapps", digest, _digest(target))
        self.published += code == 0
        self.journal.moved({"war": self.published})
        self.journal.became("webapps", "done", "shop.war")
        self.journal.say("warcopier", f"published shop.war, sha256 {digest[:12]}…")
        if not self.ledger.holds:
            raise Broken("the init container has not done its work, so the Pod does not start")
        before = target.stat()
        code = await self._copy(source)
        untouched = (before.st_mtime_ns, before.st_ino) == (target.stat().st_mtime_ns, target.stat().st_ino)
        seen = f"exit code {code}, WAR {'untouched' if untouched else 'touched'}"
        self.ledger.expect("warcopier", "a second run", "exit code 0, WAR untouched", seen)
        self.journal.say("warcopier", "ran again, as after a Pod restart: nothing to do")
        broken = self.stage.folder / "broken.war"
        broken.write_bytes(source.read_bytes()[:-100])
        code = await self._copy(broken)
        names = sorted(path.name for path in target.parent.iterdir() if not path.name.startswith("."))
        self.ledger.expect("warcopier", "exit code for a cut-off WAR", 65, code)
        self.ledger.expect("warcopier", "all files in webapps", "shop.war", ", ".join(names))
        self.journal.became("warcopier", "refused", f"a cut-off WAR: {code}")
        self.journal.say("warcopier", f"refused a cut-off WAR: {self.stage.actors[-1].last_words}")
        self.journal.present("warcopier", f"done: shop.war, sha256 {digest[:12]}…")
        self.journal.became("warcopier", "done", "published, then gone")

    async def _copy(self, source: Path) -> int:
        webapps = self.stage.folder / "webapps"
        return await (await self.stage.sidecar("warcopier", WARCOPIER_SOURCE=source, WARCOPIER_TARGET=webapps)).ended()

    async def the_pod_starts(self) -> None:
        folder = self.stage.folder
        self.backends = [await self._start_replica(number) for number in range(1, REPLICAS + 1)]
        self.journal.became("storage", "running")
        self.journal.became("ambassador", "starting")
        self.journal.became("adapter", "starting")
        self.shipper = await self._start_shipper()
        self.ambassador = await self.stage.sidecar(
            "ambassador",
            AMBASSADOR_LISTEN=f"127.0.0.1:{self.ambassador_port}",
            AMBASSADOR_UPSTREAM=",".join(f"http://127.0.0.1:{port}" for port in self.backend_ports),
            **self._admin_ports("ambassador"),
        )
        self.adapter = await self.stage.sidecar(
            "adapter",
            ADAPTER_LISTEN=f"127.0.0.1:{self.health_port}",
            ADAPTER_TARGET=f"http://127.0.0.1:{self.app_port}",
            **self._admin_ports("adapter"),
        )
        await self._ready("logshipper")
        await self._ready("ambassador")
        await self._ready("adapter")
        self.journal.say("the Pod", "three sidecars are ready before the app starts")
        self.journal.became("app", "starting")
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
        self.journal.moved({"deploy": 1})
        self.journal.became("app", "running")
        self.journal.became("logs", "running", "app.log")
        self.journal.became("customers", "running", f"{CUSTOMERS} at a time")
        self.journal.became("monitor", "running")
        self.journal.say("app", f"serves {page} and dials one address only, 127.0.0.1:{self.ambassador_port}")

    async def _start_replica(self, number: int) -> Actor:
        self.journal.became(REPLICA[number], "starting")
        self.starting[number] = self.traffic.by_replica[number]
        return await self.stage.script(f"replica {number}", "backend.py", self.backend_ports[number - 1], number)

    async def _start_shipper(self) -> Actor:
        self.journal.became("logshipper", "starting")
        return await self.stage.sidecar(
            "logshipper",
            LOGSHIPPER_PATHS=self.stage.folder / "logs" / "app.log*",
            LOGSHIPPER_SINK=self.receiver.url,
            LOGSHIPPER_STATE_DIR=self.stage.folder / "state",
            **self._admin_ports("logshipper"),
        )

    def _admin_ports(self, name: str) -> dict[str, str]:
        """Return the settings of a sidecar's admin port and of those of its siblings: none is the default here."""
        siblings = ",".join(f"{other}={port}" for other, port in self.admin.items() if other != name)
        return {
            f"{name.upper()}_ADMIN_LISTEN": f"127.0.0.1:{self.admin[name]}",
            f"{name.upper()}_ADMIN_SIBLINGS": siblings,
        }

    async def _ready(self, name: Literal["logshipper", "ambassador", "adapter"]) -> None:
        url = f"http://127.0.0.1:{self.admin[name]}/readyz"
        await until(lambda: responds(self.client, url), f"{name} is ready")
        self.journal.became(name, "running")

    async def health_is_answered_from_metrics(self) -> None:
        status, seconds, _ = await self.outside.health()
        self.ledger.expect("adapter", "/health of an app that only has /metrics", 200, status)
        self.journal.say("adapter", f"/health is {status} after {seconds * 1000:.0f} ms; the app only knows /metrics")

    async def a_replica_is_killed(self) -> None:
        await until(lambda: len(self.traffic.by_replica) == REPLICAS, "each replica confirms orders")
        self.ledger.expect("ambassador", "replicas that confirm orders", REPLICAS, len(self.traffic.by_replica))
        await asyncio.sleep(SECOND_LOOK)
        self.backends[1].process.kill()
        await self.backends[1].ended()
        self.journal.became("replica 2", "killed")
        self.journal.say("ambassador", "replica 2 was killed in the middle of its work")
        await asyncio.sleep(SECOND_LOOK)
        before = self.traffic.by_replica[2]
        self.backends[1] = await self._start_replica(2)
        await until(lambda: self.traffic.by_replica[2] > before, "the replica is used again")
        self.journal.say("ambassador", f"replica 2 is back and in use; failed orders so far: {self.traffic.failed}")

    async def the_log_rotates_in_mid_write_while_its_storage_is_down(self) -> None:
        self.receiver.broken = True
        self.journal.became("storage", "down", "503 to everything")
        await until(lambda: self.receiver.refused > 0, "the storage refuses a batch")
        self.journal.say("logshipper", "the log storage answers 503 to everything")
        for number in (1, 2):
            self.app.signal(signal.SIGHUP)
            rotated = self.stage.folder / "logs" / f"app.log.{number}"
            await until(rotated.exists, "the app rotates its log")
            self.journal.became("logs", "running", f"{number + 1} files")
            self.journal.say("logshipper", f"the app renamed its log to {rotated.name} in the middle of a line")
        await asyncio.sleep(SECOND_LOOK)
        self.receiver.broken = False
        self.journal.became("storage", "running")
        before = self.receiver.received.total()
        await until(lambda: self.receiver.received.total() > before, "lines arrive again")
        self.journal.say("logshipper", "the storage is back, and the lines are arriving")

    async def the_shipper_is_killed(self) -> None:
        """Kill it at the worst time: the storage has the lines, and the shipper has no response yet."""
        self.receiver.silent = True
        self.journal.became("storage", "silent", "keeps, answers nothing")
        await until(lambda: self.receiver.kept_silently > 0, "a batch is on its way")
        self.shipper.process.kill()
        await self.shipper.ended()
        self.journal.became("logshipper", "killed", "kill -9")
        self.receiver.silent = False
        self.journal.became("storage", "running")
        self.journal.say(
            "logshipper", "was killed with -9 after a batch had arrived and before it heard so; it is started again"
        )
        self.shipper = await self._start_shipper()
        await self._ready("logshipper")
        await asyncio.sleep(SECOND_LOOK)

    async def the_app_hangs(self) -> None:
        async with self.outside.probing:  # a probe under way, which the app has answered, would be shared
            self.app.signal(signal.SIGSTOP)
            self.journal.became("app", "hangs", "answers nobody")
            try:
                status, seconds, reason = await self.outside.health()
            finally:
                self.app.signal(signal.SIGCONT)
                self.journal.became("app", "running")
        self.ledger.expect("adapter", "/health while the app hangs", 503, status)
        self.ledger.expect("adapter", "and the 503 did not wait for the app", True, seconds < PROMPT)
        self.journal.say("adapter", f"the app hangs: {status} after {seconds:.2f} s: {reason}")

        async def healthy() -> bool:
            return (await self.outside.health())[0] == httpx.codes.OK

        self.ledger.expect(
            "adapter", "/health is 200 again after it went on", True, await until(healthy, "healthy again")
        )
        self.journal.say("adapter", "the app goes on: 200 again")

    async def a_setting_is_misspelt(self) -> None:
        self.journal.became("newcomer", "starting", "AMBASSADOR_UPSTREEM=…")
        wrong = await self.stage.sidecar("ambassador", AMBASSADOR_UPSTREEM="http://orders:80")
        code = await wrong.ended()
        self.journal.became("newcomer", "refused", f"AMBASSADOR_UPSTREEM: exit code {code}")
        self.ledger.expect("ambassador", "exit code for a misspelt setting", 78, code)
        self.journal.say("ambassador", " ".join(wrong.last_words.split()))

    async def the_pod_ends(self) -> None:
        self.journal.became("customers", "ended", "the shop closes")
        self.journal.became("monitor", "ended")
        code = await self.app.stop()
        self.journal.became("app", "ended", f"exit code {code}")
        self.ledger.expect("app", "exit code", 0, code)
        sidecars: tuple[tuple[Part, Actor], ...] = (
            ("adapter", self.adapter),
            ("ambassador", self.ambassador),
            ("logshipper", self.shipper),
        )
        for name, actor in sidecars:
            began = time.monotonic()
            code = await actor.stop()
            self.journal.became(name, "ended", f"drained, exit code {code}")
            self.ledger.expect(name, "exit code after SIGTERM", 0, code)
            self.journal.say(name, f"drained and gone in {time.monotonic() - began:.2f} s, exit code {code}")

    def balance(self) -> None:
        """Compare lines written with lines delivered, and orders placed with orders confirmed."""
        files = sorted((self.stage.folder / "logs").iterdir())
        written = [line for path in files for line in path.read_text().splitlines()]
        received, ids = self.receiver.received, self.receiver.ids
        self.ledger.expect(
            "ambassador", f"failed orders, beside {self.traffic.confirmed:,} confirmed", 0, self.traffic.failed
        )
        self.ledger.expect("logshipper", "generations of the log file", 3, len(files))
        self.ledger.expect("logshipper", "lines written = lines delivered", len(written), len(received))
        self.ledger.expect("logshipper", "and each is the line that was written", True, set(written) == set(received))
        repeats = received.total() - len(received)
        repeated_ids = ids.total() - len(ids)
        self.ledger.expect("logshipper", "lines were sent again after kill -9", True, repeats > 0)
        self.ledger.expect("logshipper", "of these, lines that carry an id already seen", repeats, repeated_ids)
        if self.traffic.last_failure:
            self.journal.say("ambassador", f"the last failure: {self.traffic.last_failure}")

    # -- running all the time ------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Update the figures of the views."""
        while not self.outside.closing.is_set():
            self.glance()
            await asyncio.sleep(GLANCE)

    def glance(self) -> None:
        """Tell the views the figures of this moment."""
        shares = " · ".join(f"replica {n}: {count}" for n, count in sorted(self.traffic.by_replica.items()))
        self.journal.present("ambassador", f"{self.traffic.confirmed} orders, {self.traffic.failed} failed · {shares}")
        delivered = len(self.receiver.received)
        self.journal.present("logshipper", f"{delivered:,} lines delivered")
        orders = self.traffic.confirmed + self.traffic.failed
        totals: dict[Way, int] = {
            "visits": orders,
            "calls": orders,
            "probes": self.outside.probes,
            "scrapes": self.outside.probes,
        }
        for number, count in self.traffic.by_replica.items():
            totals[REPLICA[number]] = count
            if count > self.starting.get(number, count):
                del self.starting[number]
                self.journal.became(REPLICA[number], "running")
        totals |= {"written": self.log_lines.count(), "read": delivered, "delivered": delivered}
        self.journal.moved(totals | {"refused": self.receiver.refused})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "there is no such file"
