"""The blocking threads of the sidecars (`BlockingThread`) as calls at virtual times, one at a time and in their order.

A call is done at the end of its time, in one go. A kill may come at each call to the disk in it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from sidecars.chassis.runtime.blocking_thread import BlockingThread
from tests.world import kernel as kernels
from tests.world import universe as universes
from tests.world.universe import OWNER

_QUICK, _SLOW = 0.002, 0.5  # seconds that a call takes at most; a few take long

# When the last call of a thread is done, and in which universe.
_busy: weakref.WeakKeyDictionary[BlockingThread, tuple[int, float]] = weakref.WeakKeyDictionary()


async def _call(self: BlockingThread, function: Callable[..., Any], *arguments: Any) -> Any:
    universe, loop = universes.current(), asyncio.get_running_loop()
    at = universe.now + universe.between(0, _SLOW if universe.chance(0.03) else _QUICK)
    where, until = _busy.get(self, (-1, 0.0))
    if where == id(universe):
        at = max(at, until + 1e-6)  # timers of equal time are not first in, first out
    _busy[self] = (id(universe), at)
    future = loop.create_future()
    loop.call_at(at, _run, future, function, arguments)
    return await future


def _run(future: asyncio.Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    if OWNER.get() in kernels.kernel().processes.dead:
        return
    result: Any = None
    error: BaseException | None = None
    try:
        result = function(*arguments)
    except Exception as raised:  # noqa: BLE001 - it belongs to the caller
        error = raised
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def install() -> None:
    BlockingThread.call = _call  # type: ignore[method-assign] # it takes the place of the real one
