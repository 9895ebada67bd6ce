"""The logshipper in the world: apps write and rotate, receivers and the disk fail, and the process is killed anywhere.

In the first part of a run everything may fail. In the second one all is well again, and what could be delivered must
have been delivered soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import Failure, IOFailed, ServiceContext, Unavailable
from sidecars.logshipper import app
from sidecars.logshipper.model import record_thread
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.volumes import own_files
from tests.world.disk import Disk
from tests.world.log_apps import LogApp
from tests.world.log_ledger import Ledger
from tests.world.log_receivers import Receiver
from tests.world.log_surprises import Surprises
from tests.world.network import Weather
from tests.world.processes import Killed
from tests.world.universe import check, check_equal
from tests.world.world import World

_RECEIVERS = {"one": ("10.0.3.1", 9000), "two": ("10.0.3.2", 9200)}
_DRAIN = 5.0
_LIMITS: tuple[dict[str, str], ...] = (  # what waits for a limit is delivered, and counters count beside it
    {},
    {},
    {"RATE_LIMIT": "40/s", "RATE_BURST": "5", "COUNT": "all=/./"},
    {"RATE_LIMIT": "20/s", "RATE_LIMIT_KEY": "file"},
)
_SOON = 60.0  # seconds in which all is delivered once all is well


class LogshipperWorld:
    """One run of the logshipper, with as many processes as are killed or stopped."""

    def __init__(self, world: World) -> None:
        self.world = world
        universe = self.universe = world.universe
        choose, chance = universe.choose, universe.chance
        self.disk = world.kernel.disk = Disk(universe, "logs", "state", "letters")
        self.logs, self.state = self.disk.volumes["logs"], self.disk.volumes["state"]
        self.state.torn_share = 0.5
        self.ledger = Ledger(universe, self.logs)
        self.in_flight = choose(1, 1, 4)
        features = random.Random(f"features {universe.seed}")  # its own dice: a new choice changes no other one
        self.isolate_after = features.choice((10, 10, 2))
        names = ["one", "two"] if chance(0.3) else [choose("one", "two")]
        poison = choose(0.0, 0.0, 0.0, 0.03)
        is_ordered = self.in_flight == 1 and not poison  # else halves of a batch overtake each other
        self.receivers = [
            Receiver(universe, self.ledger, name, is_bulk=name == "two", is_ordered=is_ordered and name == "one")
            for name in names
        ]
        rotations = ["create", "create", "copytruncate", "delete"]
        self.apps = [LogApp(universe, self.logs, self.ledger, "app.log", choose(*rotations))]
        self.routed = len(names) == 2 and features.random() < 0.5
        if chance(0.3) or self.routed:
            self.apps.append(LogApp(universe, self.logs, self.ledger, "other.log", choose(*rotations)))
        for each in self.apps:
            each.poison_share = poison
        for receiver in self.receivers:  # a copy and a file that is refilled at once are not always told apart
            receiver.may_repeat_under_new_ids = any(each.rotation == "copytruncate" for each in self.apps)
        if self.routed:
            self.ledger.wanted["one"] = self.receivers[0].wanted = "app.log"
        self.retry_limit = features.choice(("", "", "3"))
        if self.retry_limit:
            self.ledger.letters = self.disk.volumes["letters"]
        self.badness = choose(0.0, 0.2, 0.6)
        self.loses_power = chance(0.3)
        self.disk_fails = chance(0.3)
        self.logs.has_handles = features.random() < 0.7
        self.close_inactive = features.choice(("1s", "3s", "5m"))
        self.limits = _LIMITS[random.Random(f"limits {universe.seed}").randrange(len(_LIMITS))]
        for each in self.apps:  # the power and a failing disk leave halves of compressed files, and no originals
            if each.rotation == "create" and features.random() < 0.5 and not (self.loses_power or self.disk_fails):
                each.rotation = "compress"
        for receiver in self.receivers:
            receiver.may_repeat_pieces = self.disk_fails
        record_thread.LARGE = choose(500, 16 * 1024)
        self.surprises = Surprises(universe, self._variables(names), self.in_flight)
        self.settings = load(Settings, self.surprises.variables)
        self.process: Any = None  # the parts of the logshipper that runs
        self.is_over = False
        own_files._linked.clear()  # it is of one process

    def _variables(self, names: list[str]) -> dict[str, str]:
        choose = self.universe.choose
        variables = {
            "LOGSHIPPER_STATE_DIR": "/state",
            "LOGSHIPPER_SCAN_INTERVAL": choose("200ms", "1s"),
            "LOGSHIPPER_ROTATE_WAIT": choose("1s", "4s"),
            "LOGSHIPPER_CLOSE_INACTIVE": self.close_inactive,
            "LOGSHIPPER_COMPRESSED": "auto",
            "LOGSHIPPER_DELETE_DELIVERED": choose("false", "false", "true"),
            "LOGSHIPPER_BATCH_SIZE": choose("4KiB", "64KiB"),
            "LOGSHIPPER_BATCH_TIMEOUT": choose("0", "200ms"),
            "LOGSHIPPER_REQUEST_TIMEOUT": "2s",
            "LOGSHIPPER_RETRY_MIN": "50ms",
            "LOGSHIPPER_RETRY_MAX": "1s",
            "LOGSHIPPER_IN_FLIGHT": str(self.in_flight),
            "LOGSHIPPER_ON_REJECT": choose("drop", "/letters"),
            "LOGSHIPPER_RETRY_LIMIT": self.retry_limit,
            "LOGSHIPPER_ISOLATE_AFTER": str(self.isolate_after),
            "LOGSHIPPER_ADMIN_LISTEN": "off",
            "LOGSHIPPER_DRAIN_TIMEOUT": f"{_DRAIN:g}s",
        }
        variables |= {f"LOGSHIPPER_{name}": value for name, value in self.limits.items()}
        if self.retry_limit:
            variables["LOGSHIPPER_ON_REJECT"] = "/letters"
        if self.routed:
            variables["LOGSHIPPER_APP_PATHS"] = "/logs/app.log,/logs/app.log.*"
            variables["LOGSHIPPER_OTHER_PATHS"] = "/logs/other.log,/logs/other.log.*"
            variables["LOGSHIPPER_ONE_INPUTS"] = "app"
        else:
            variables["LOGSHIPPER_PATHS"] = "/logs/*.log,/logs/*.log.*"
        for name in names:
            host, port = _RECEIVERS[name]
            scheme, path = ("elasticsearch+http", "/index") if name == "two" else ("http", "/")
            variables[f"LOGSHIPPER_{name.upper()}_SINK"] = f"{scheme}://{host}:{port}{path}"
        return variables

    async def run(self) -> None:
        servers = []
        for receiver in self.receivers:
            servers.append(await asyncio.start_server(receiver.serve, *_RECEIVERS[receiver.name]))
            self.world.network.weather[_RECEIVERS[receiver.name]] = Weather(slowest=self.universe.choose(0.003, 0.05))
        keeper = asyncio.ensure_future(self._keep_running())
        await self._part_one(keeper)
        await self._part_two(keeper)
        for server in servers:
            server.close()

    # -- the process ----------------------------------------------------------------------------------------------

    async def _keep_running(self) -> None:
        """Start the process, and start it again when it ends, as the kubelet does."""
        universe, world = self.universe, self.world
        while not self.is_over:
            universe.record("the process starts")
            self.ledger.process_since = universe.now
            if not self.is_calm and universe.chance(0.5):
                world.kernel.processes.kill_at = universe.dice.randint(1, universe.choose(60, 300, 1500))
            self.settings = load(Settings, self.surprises.next_variables())
            world.start(self._service, _DRAIN)
            error = await world.end_of_service()
            self.ledger.process_since = self.process = None
            if isinstance(error, Killed):
                if universe.chance(0.5) and self.loses_power and not self.is_calm:
                    self._lose_power()
            elif error is not None:
                self._judge_end(error)
            elif self.ledger.stopping_since is None:
                check("the process ends only when it is told to", False, error)
            if not self.is_over:
                await asyncio.sleep(universe.choose(0.0, universe.between(0.0, 1.0), universe.between(0.0, 10.0)))

    async def _service(self, context: ServiceContext) -> None:
        await _Watched.run_for(self, context)

    def _judge_end(self, error: BaseException) -> None:
        """Check that the process had a reason for its failure."""
        if not isinstance(error, Failure):
            raise error
        self.universe.record(f"the process fails: {error.reason}")
        if isinstance(error, IOFailed):
            check(
                "a process fails for its disk only if the disk fails",
                self.world.kernel.processes.failures,
                error.reason,
            )
        else:
            stopping = self.ledger.stopping_since is not None and not self.is_over
            check(
                "a process fails for its sink only at its end",
                isinstance(error, Unavailable) and stopping,
                error.reason,
            )

    def _lose_power(self) -> None:
        self.universe.record("the power is lost")
        alive = self.ledger.alive()
        for each in self.apps:
            each.lose_power()
        for volume in self.disk.volumes.values():
            volume.lose_power()
        left = self.ledger.alive()
        self.ledger.lose(sorted(alive - left), "the power was lost")
        for receiver in self.receivers:
            receiver.note_lost_power()

    # -- part one: everything may fail ----------------------------------------------------------------------------

    is_calm = False

    async def _part_one(self, keeper: asyncio.Future[None]) -> None:
        universe = self.universe
        tasks = [asyncio.ensure_future(each.live()) for each in self.apps]
        tasks += [asyncio.ensure_future(self._change_weather()), asyncio.ensure_future(self._audit())]
        disturbing = asyncio.ensure_future(self._disturb())
        await asyncio.wait({keeper, disturbing}, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done():
            keeper.result()
        disturbing.result()
        universe.record("all is well from now on")
        self.is_calm = True
        self.world.kernel.processes.kill_at = 0
        self._note_copies()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                task.result()

    async def _disturb(self) -> None:
        universe = self.universe
        for _ in range(universe.dice.randint(1, 5)):
            await asyncio.sleep(universe.between(0.5, 8.0))
            self.surprises.set_clock()
            match universe.choose("kill", "kill", "stop", "kill soon", "nothing"):
                case "kill" if self.ledger.process_since is not None:
                    self.world.kill()
                    self.ledger.process_since = None  # part two may begin before the keeper sees it
                case "kill soon":
                    processes = self.world.kernel.processes
                    processes.kill_at = processes.calls + universe.dice.randint(1, 200)
                case "stop" if self.ledger.process_since is not None:
                    await self._stop()

    def _note_copies(self) -> None:
        """At its end the process takes an unfinished copy for a file of its own: a repeated line is no lost line."""
        for receiver in self.receivers:
            receiver.may_repeat_under_new_ids |= any(each.is_copying for each in self.apps)

    async def _stop(self) -> None:
        """Send SIGTERM. What was there must have been delivered if the process ends well."""
        self.ledger.stopping_since = self.universe.now
        self._note_copies()
        before = self.world.kernel.processes.failures
        there = sorted(self.ledger.alive())
        error = await self.world.stop_service(_DRAIN)
        self.ledger.stopping_since = None
        if error is None and before == self.world.kernel.processes.failures:
            self._check_delivered("a process ends well only if all that was there is delivered", there)

    async def _change_weather(self) -> None:
        universe = self.universe
        while True:
            for receiver in self.receivers:
                weather = self.world.network.weather[_RECEIVERS[receiver.name]]
                weather.refuses = universe.chance(self.badness / 3)
                receiver.badness = universe.choose(0.0, self.badness)
            if self.disk_fails:
                self.state.is_full = universe.chance(0.3)
                self.state.error_share = universe.choose(0.0, 0.0, 0.1)
                self.logs.error_share = universe.choose(0.0, 0.0, 0.05)
                self.ledger.last_fault = universe.now
                for receiver in self.receivers:
                    receiver.may_repeat_under_new_ids = True
            await asyncio.sleep(universe.between(0.5, 5.0))
            self.ledger.last_fault = universe.now

    async def _audit(self) -> None:
        while True:
            await asyncio.sleep(self.universe.between(0.1, 2.0))
            self._check_accounts()

    def _check_accounts(self) -> None:
        """Check that read = delivered + dropped + pending, of each file and of all together, at any time."""
        for broken in self.ledger.broken:
            raise broken
        if self.process is None:
            return
        for name, ledger in self.process._ledgers.items():
            pending = {generation: tail.pending(name) for generation, tail in self.process._follower.tails.items()}
            check_equal("read = delivered + dropped + pending", ledger.check(pending), [])

    # -- part two: all is well ------------------------------------------------------------------------------------

    async def _part_two(self, keeper: asyncio.Future[None]) -> None:
        universe = self.universe
        for receiver in self.receivers:
            receiver.badness = 0.0
            self.world.network.weather[_RECEIVERS[receiver.name]] = Weather()
        for volume in (self.logs, self.state):
            volume.is_full, volume.error_share = False, 0.0
        for each in self.apps:
            each.finish_line()
            each.poison_share = 0.0
            each.write(2, is_whole=True)
        until = universe.now + _SOON
        while universe.now < until and (self.ledger.process_since is None or self.ledger.missing()):
            await asyncio.sleep(0.5)
            self._check_accounts()
            if keeper.done():
                keeper.result()
        self._check_delivered("each line is delivered once all is well", None)
        self.is_over, self.ledger.stopping_since = True, universe.now
        check_equal("a process ends well when all is delivered", await self.world.stop_service(_DRAIN), None)
        await keeper
        self._check_delivered("each line is delivered at the end", None)
        self._check_accounts()
        universe.record(f"{len(self.ledger.written)} lines, {len(self.ledger.lost)} lost")

    def _check_delivered(self, promise: str, lines: list[str] | None) -> None:
        missing = self.ledger.missing(lines)
        check(promise, not missing, f"{len(missing)} lines", *missing[:5])


class _Watched(app._App):
    """The logshipper's own parts, which the world looks into."""

    world: LogshipperWorld

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.world.process = self

    @classmethod
    async def run_for(cls, world: LogshipperWorld, context: ServiceContext) -> None:
        cls.world = world
        await app.run(world.settings, context)


app._App = _Watched  # type: ignore[misc,assignment] # it takes the place of the real one
