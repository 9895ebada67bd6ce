"""Calls of gRPC while replicas are restarted, killed, or their calls cancelled; judged by what was executed.

    python -m tests.ambassador.grpc_chaos [--calls N] [--seconds N] [--scenarios restart,kill,idempotent,cancel]

The app is grpcio with one channel and without repeats of its own; the replicas are `http2.replica`, which record what
they execute. All settings of the ambassador are the defaults, but for the methods of the scenario `idempotent`.

    restart      every replica is restarted gracefully, one after the other, again and again: no call fails, and each
                 is executed once
    kill         the same with kill -9: only calls fail that were in flight at a kill, with UNAVAILABLE, and none is
                 executed twice
    idempotent   the same, and the method may be repeated: no call fails
    cancel       1,000 calls a second, each cancelled after its first message: no connection is lost, nothing is left

The program prints a line for each scenario. It exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
import grpc.aio

from tests.ambassador.http2 import raw
from tests.ambassador.http2.replica import WATCH
from tests.ambassador.support import Ambassador
from tests.support import Program, free_port, wait_until

GET = "/shop.v1.Orders/Get"
EACH = 100  # calls, in the middle of which a replica ends
AT_A_TIME = 16
REPLICAS = 3
SECONDS = 0.003  # that a replica takes for a call
OPTIONS = (("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0))


@dataclass
class Outcome:
    """One call, as the app saw it. Times are of the monotonic clock."""

    text: str
    began: float
    ended: float
    status: str
    details: str = ""


@dataclass
class Ending:
    """One end of a replica: when it got its signal, when its process was gone, and when the ambassador knew that.

    A call that comes between the last two may have been written to the dead connection: the ambassador reads several
    sockets in one turn of its event loop. It is in flight there, too.
    """

    signalled: float
    gone: float = 0.0
    over: float = 0.0


@dataclass
class World:
    """An ambassador, and the replicas behind it."""

    folder: Path
    seconds: float = SECONDS
    programs: dict[int, Program] = field(default_factory=dict)  # by their ports
    others: list[Program] = field(default_factory=list)

    def start(self, name: str, **environ: str) -> Program:
        self.others.append(Program(["-m", f"sidecars.{name}"], environ, self.folder))
        return self.others[-1]

    def begin(self, port: int) -> None:
        """Start a replica."""
        arguments = ["-m", "tests.ambassador.http2.replica", str(port), str(self.folder / "record"), str(self.seconds)]
        self.programs[port] = Program(arguments, {}, self.folder)

    def await_replicas(self) -> None:
        for port in self.programs:
            wait_until(partial(accepts, port), "the replica accepts")

    def executed(self) -> Counter[str]:
        """Return how often each call was executed."""
        return Counter((self.folder / "record").read_text().split())


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def running(folder: Path, seconds: float = SECONDS, **settings: str) -> Iterator[tuple[World, Ambassador]]:
    world = World(folder, seconds)
    try:
        for _ in range(REPLICAS):
            world.begin(free_port())
        world.await_replicas()
        upstream = ",".join(f"h2c://127.0.0.1:{port}" for port in world.programs)
        yield world, Ambassador(world.start, upstream, **settings)
    finally:
        for program in [*world.programs.values(), *world.others]:
            program.kill()


async def call(channel: grpc.aio.Channel, text: str) -> Outcome:
    began = time.monotonic()
    try:
        answer = await channel.unary_unary(GET)(text.encode())
    except grpc.aio.AioRpcError as error:
        return Outcome(text, began, time.monotonic(), error.code().name, error.details() or "")
    assert answer == text.encode()
    return Outcome(text, began, time.monotonic(), "OK")


async def disturbed(
    world: World, ambassador: Ambassador, rounds: int, number: signal.Signals, made: list[Outcome]
) -> list[Ending]:
    """Make EACH calls for each round on one channel; in its middle a replica gets the signal and starts again.

    Return when that was.
    """
    allowed, done = asyncio.Semaphore(0), asyncio.Queue[Outcome]()
    numbers = itertools.count()
    endings: list[Ending] = []

    async def customer(channel: grpc.aio.Channel) -> None:
        while True:
            await allowed.acquire()
            done.put_nowait(await call(channel, str(next(numbers))))

    async def await_calls(count: int) -> None:
        for _ in range(count):
            made.append(await done.get())  # noqa: PERF401 - what came before a failure is kept

    async with grpc.aio.insecure_channel(f"127.0.0.1:{ambassador.port}", options=OPTIONS) as channel:
        customers = [asyncio.create_task(customer(channel)) for _ in range(AT_A_TIME)]
        for _, victim in zip(range(rounds), itertools.cycle(list(world.programs)), strict=False):
            for _ in range(EACH):
                allowed.release()
            await await_calls(EACH // 2)
            ending = Ending(time.monotonic())
            world.programs[victim].signal(number)
            code = await asyncio.to_thread(world.programs[victim].wait)
            assert code == (0 if number == signal.SIGTERM else -number)
            ending.gone = time.monotonic()
            # The request finds a loop that has polled since: it has read the end of the connection before.
            await asyncio.to_thread(ambassador.metric, "ambassador_defects_total")
            ending.over = time.monotonic()
            endings.append(ending)
            world.begin(victim)
            await asyncio.to_thread(world.await_replicas)
            await await_calls(EACH - EACH // 2)
        for each in customers:
            each.cancel()
    return endings


def calls(
    world: World, ambassador: Ambassador, count: int, number: signal.Signals
) -> tuple[list[Outcome], list[Ending]]:
    """Make calls while one replica after the other gets the signal; return them, and when the signals were."""
    made: list[Outcome] = []
    endings = asyncio.run(disturbed(world, ambassador, count // EACH, number, made))
    return made, endings


def restart(folder: Path, count: int) -> str:
    """Restart replicas gracefully. Raises AssertionError if a call fails or is executed twice."""
    with running(folder) as (world, ambassador):
        made, endings = calls(world, ambassador, count, signal.SIGTERM)
        failed = [each for each in made if each.status != "OK"]
        assert not failed, failed[:5]
        executed = world.executed()
        assert set(executed.values()) == {1}
        assert len(executed) == len(made) == count
        repeated = int(ambassador.metric("ambassador_upstream_unprocessed_total"))
        retried = int(ambassador.metric("ambassador_upstream_retries_total"))
    return (
        f"{count} calls, {len(endings)} graceful restarts: 0 failed, 0 executed twice; {repeated} repeated as "
        f"unprocessed, {retried} after a connection that did not open"
    )


def kill(folder: Path, count: int, *, idempotent: bool = False) -> str:
    """Kill replicas. Raises AssertionError if a call fails that no kill has met, or one is executed twice."""
    with running(folder, GRPC_IDEMPOTENT=GET if idempotent else "") as (world, ambassador):
        made, endings = calls(world, ambassador, count, signal.SIGKILL)
        failed = [each for each in made if each.status != "OK"]
        executed = world.executed()
        assert len(made) == count
        if idempotent:
            assert not failed, failed[:5]
        for each in failed:
            assert each.status == "UNAVAILABLE", each
            assert any(each.began <= at.over and each.ended >= at.signalled for at in endings), f"no kill met {each}"
        once = {text for text, times_executed in executed.items() if times_executed == 1}
        assert idempotent or once == set(executed)
    unread = sum(not any(each.began <= at.gone and each.ended >= at.signalled for at in endings) for each in failed)
    told = f"{count} calls, {len(endings)} times kill -9: {len(failed)} failed"
    if idempotent:
        return f"{told}, {len(executed) - len(once)} executed twice, which the method allows"
    late = [each.ended - max(at.signalled for at in endings if at.signalled <= each.ended) for each in failed]
    return (
        f"{told}, each in flight at a kill, with UNAVAILABLE, {max(late, default=0.0) * 1000:.0f} ms after it at most; "
        f"0 executed twice; {unread} of the failed came after the process was gone, before the ambassador had read that"
    )


def cancel(folder: Path, seconds: float, rate: int = 1000) -> str:
    """Cancel calls after their first message. Raises AssertionError if a connection is lost, or anything is left."""
    with running(folder) as (world, ambassador), raw.Connection.to(ambassador.port) as app:
        before, begun, cancelled = ambassador.rss(), time.monotonic(), 0
        connects = 0.0
        while cancelled < seconds * rate:
            due = int((time.monotonic() - begun) * rate) - cancelled
            if due <= 0:
                time.sleep(0.001)
                continue
            streams = [2 * number + 1 for number in range(cancelled, cancelled + min(due, 50))]
            message = raw.message(b"order")
            for stream in streams:
                app.send(raw.headers(stream, raw.call(WATCH), raw.END_HEADERS))
                app.send(raw.data(stream, message, raw.END_STREAM))
            waiting = set(streams)
            while waiting:
                got = app.until(raw.DATA)
                assert got is not None, app.goaways
                if got.stream in waiting:
                    waiting.remove(got.stream)
                    app.send(raw.rst_stream(got.stream), raw.window_update(0, len(got.payload)))
            cancelled += len(streams)
            if cancelled >= rate:  # each replica has its connection
                connects = connects or ambassador.metric("ambassador_upstream_connects_total")
        assert app.round_trip()
        assert app.goaways == []
        assert ambassador.metric("ambassador_upstream_connects_total") == connects, "a connection was lost"
        wait_until(lambda: sum(each["pending"] for each in ambassador.endpoints()) == 0, "no call is left")
        grown = ambassador.rss() - before
        assert ambassador.metric("ambassador_defects_total") == 0
        assert all(program.process.poll() is None for program in world.programs.values())
        taken = time.monotonic() - begun
    return (
        f"{cancelled} calls cancelled after their first message in {taken:.0f} s ({cancelled / taken:.0f}/s): "
        f"no connection lost, none left, {grown / 1e6:.1f} MB more memory"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000, help="of each scenario with replicas that end")
    parser.add_argument("--seconds", type=float, default=60, help="of the scenario `cancel`")
    parser.add_argument("--scenarios", default="restart,kill,idempotent,cancel")
    options = parser.parse_args()
    scenarios = {
        "restart": lambda folder: restart(folder, options.calls),
        "kill": lambda folder: kill(folder, options.calls),
        "idempotent": lambda folder: kill(folder, options.calls, idempotent=True),
        "cancel": lambda folder: cancel(folder, options.seconds),
    }
    for name in options.scenarios.split(","):
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(f"{name}: {scenarios[name](Path(folder))}", flush=True)  # noqa: T201 - a program's output
            except AssertionError as error:
                print(f"{name}: {error}", flush=True)  # noqa: T201 - a program's output
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
