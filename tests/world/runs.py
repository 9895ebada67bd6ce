"""The worlds by their names, and one run of one seed. Importing this module makes the process a world."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.world import kernel, names, universe

universe.install()  # before any module of a sidecar is imported: one may bind a clock to a name of its own
kernel.install()

from tests.world.sockets import VirtualSocket  # noqa: E402 - after the clocks

socket.has_ipv6 = True
socket.socket = VirtualSocket  # type: ignore[assignment,misc] # it takes the place of the real one

from tests.world import disk_calls, threads, watches  # noqa: E402 - after the clocks

disk_calls.install()
threads.install()
watches.install()

from tests.world.adapter_world import AdapterWorld  # noqa: E402 - after the clocks
from tests.world.ambassador_world import AmbassadorWorld  # noqa: E402 - after the clocks
from tests.world.chassis_world import ChassisWorld  # noqa: E402 - after the clocks
from tests.world.logshipper_world import LogshipperWorld  # noqa: E402 - after the clocks
from tests.world.world import World  # noqa: E402 - after the clocks

WORLDS: dict[str, Any] = {
    "adapter": AdapterWorld,
    "ambassador": AmbassadorWorld,
    "chassis": ChassisWorld,
    "logshipper": LogshipperWorld,
}
assert set(WORLDS) == set(names.WORLDS)


@dataclass
class Result:
    """The outcome of one seed."""

    digest: str
    events: int
    seconds: float
    error: BaseException | None


_MOST_CPU = 20.0  # seconds of CPU for one seed, which needs less than 0.1


class Livelock(AssertionError):
    """Code of ours runs on and on while no time passes."""


def _give_up(_number: int, _frame: object) -> None:
    raise Livelock(f"one seed took {_MOST_CPU:g} s of CPU")


signal.signal(signal.SIGPROF, _give_up)


def break_by(fault: str) -> None:
    """Put a fault into the code of the sidecars."""
    from tests.world import mutants  # noqa: PLC0415 - only if one is wanted

    mutants.MUTANTS[fault]()


def run(name: str, seed: int, show: Callable[[str], None] | None = None) -> Result:
    """Run a seed of a world."""
    world = World(seed, show)
    error: BaseException | None = None
    signal.setitimer(signal.ITIMER_PROF, _MOST_CPU)
    try:
        world.run(WORLDS[name](world).run())
    except Exception as found:  # noqa: BLE001 - a broken promise, a deadlock, or a fault of the world itself
        error = found
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Result(world.universe.digest, world.universe.events, world.universe.elapsed, error)
