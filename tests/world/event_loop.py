"""The event loop of the world: asyncio's own, on a clock that jumps to the next timer.

`select` of a real loop waits for sockets or for the next timer. Here it asks the network what is ready. If nothing is,
the clock moves to the next timer at once. If there is no timer either, nothing will ever happen: `Deadlock`.

Tasks and futures are numbered, and their hash is the number: sets of objects are iterated by address otherwise, and
asyncio itself keeps tasks in sets (task groups, `wait`).
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from tests.world.kernel import Kernel
from tests.world.processes import Killed
from tests.world.sockets import VirtualSocket
from tests.world.transport import VirtualTransport
from tests.world.universe import OWNER, Universe

_ACCEPTS = 100  # connections that a server takes in one turn, as asyncio's with its default backlog
_TURN = 1e-7  # seconds that a turn of the loop takes
_QUICK = 0.002  # seconds that a call in a thread takes at most, but for a few
_SLOW = 0.5


class Deadlock(AssertionError):
    """Nothing will ever happen: no socket is ready, and there is no timer."""


class _Task(asyncio.Task[Any]):
    number: int
    owner: str  # the process that it belongs to

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    number: int

    def __hash__(self) -> int:
        return self.number


_all_tasks = asyncio.all_tasks


def _own_tasks(loop: Any = None) -> set[asyncio.Task[Any]]:
    """Return the tasks of the process that asks: the peers on this loop are not the sidecar's."""
    return {task for task in _all_tasks(loop) if getattr(task, "owner", "") == OWNER.get()}


asyncio.all_tasks = _own_tasks


class _Server:
    """What `create_server` returns: it accepts from its sockets until it is closed."""

    def __init__(self, loop: VirtualLoop, sockets: list[VirtualSocket], protocol: Callable[[], Any]) -> None:
        self._loop = loop
        self.sockets = sockets
        self._protocol = protocol
        for bound in sockets:
            loop.add_reader(bound, self._accept, bound)

    def _accept(self, bound: VirtualSocket) -> None:
        for _ in range(_ACCEPTS):
            try:
                own = bound.accept()[0]
            except BlockingIOError:
                return
            self._loop.make_transport(own, self._protocol())

    def close(self) -> None:
        for bound in self.sockets:
            self._loop.remove_reader(bound)
            bound.close()
        self.sockets = []

    async def wait_closed(self) -> None:
        return

    def is_serving(self) -> bool:
        return bool(self.sockets)


class _Poll:
    """The place of the selector in asyncio's loop."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        loop = self._loop
        if loop.schedule_ready():
            return []
        if timeout is None:
            raise Deadlock(f"nothing will ever happen; tasks: {sorted(map(_name, _all_tasks(loop)))}")
        # A turn takes time: code that waits for a time that is almost there waits again and again otherwise.
        loop.universe.now += max(timeout, _TURN)
        return []

    def close(self) -> None:
        pass


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    """An event loop on the clock, the network and the descriptors of one universe."""

    def __init__(self, universe: Universe, kernel: Kernel) -> None:
        super().__init__()
        self.universe = universe
        self.kernel = kernel
        self.stray: list[str] = []  # what asyncio reports to the exception handler
        self._selector = _Poll(self)
        self._clock_resolution = 1e-9
        self._numbers = itertools.count(1)
        self._signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self.set_task_factory(self._make_task)  # type: ignore[arg-type] # its type has no name
        kernel.attach(self)

    def time(self) -> float:
        return self.universe.now

    def _process_events(self, _events: list[Any]) -> None:
        """Do nothing: `schedule_ready` has done it."""

    def _write_to_self(self) -> None:
        """Do nothing: there is no other thread to wake the loop for."""

    def _make_task(self, loop: Any, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        number = next(self._numbers)
        task = _Task.__new__(_Task)
        task.number = number
        context = more.get("context")
        task.owner = OWNER.get() if context is None else context.get(OWNER, OWNER.get())
        task.__init__(work, loop=loop, name=f"task {number}", **more)  # type: ignore[misc] # it is put into a set at once
        return task

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future(loop=self)
        future.number = next(self._numbers)
        return future

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks of all processes."""
        return sorted((task for task in _all_tasks(self) if not task.done()), key=hash)

    # -- readiness ------------------------------------------------------------------------------------------------

    def schedule_ready(self) -> bool:
        """Schedule the callback of each socket that is ready, in the order of the dice. Return True if there is one."""
        awake = self.kernel.awake
        if not awake:
            return False
        ready = [own for own in awake.values() if own.on_readable is not None and own.is_readable()]
        awake.clear()
        if len(ready) > 1:
            self.universe.dice.shuffle(ready)
        for own in ready:
            self.call_soon(own.run_reader)
        return bool(ready)

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override] # typeshed's is wider
        own = self.kernel.socket_of(fd)
        context = contextvars.copy_context()
        own.on_readable = lambda: context.run(callback, *args)
        own.wake()

    def remove_reader(self, fd: Any) -> bool:
        own = self.kernel.socket_of(fd)
        had, own.on_readable = own.on_readable is not None, None
        return had

    # -- servers and connections ----------------------------------------------------------------------------------

    def make_transport(
        self, own: VirtualSocket, protocol: Any, waiter: asyncio.Future[None] | None = None
    ) -> VirtualTransport:
        return VirtualTransport(self, own, protocol, waiter)

    async def create_server(  # type: ignore[override] # typeshed's is wider
        self,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: Any = None,
        *,
        sock: Any = None,
        ssl: Any = None,
        **_more: Any,
    ) -> _Server:
        assert ssl is None, "the world has no TLS"
        if sock is None:
            sock = VirtualSocket(socket.AF_INET, socket.SOCK_STREAM)
            sock.bind((host, port))
        sock.listen(_ACCEPTS)
        return _Server(self, [sock], protocol_factory)

    async def connect_accepted_socket(
        self, protocol_factory: Callable[[], Any], sock: Any, *, ssl: Any = None, **_more: Any
    ) -> tuple[VirtualTransport, Any]:
        assert ssl is None, "the world has no TLS"
        return await self._connected(sock, protocol_factory)

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: Any = None,
        *,
        sock: Any = None,
        ssl: Any = None,
        local_addr: Any = None,
        **_more: Any,
    ) -> tuple[VirtualTransport, Any]:
        assert ssl is None, "the world has no TLS"
        if sock is None:
            ((family, _, _, _, where), *_) = await self.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            sock = VirtualSocket(family, socket.SOCK_STREAM)
            if local_addr is not None:
                sock.bind(local_addr)
            try:
                await self.sock_connect(sock, where)
            except BaseException:
                sock.close()
                raise
        return await self._connected(sock, protocol_factory)

    async def _connected(self, sock: Any, protocol_factory: Callable[[], Any]) -> tuple[VirtualTransport, Any]:
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = self.make_transport(sock, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def sock_connect(self, sock: Any, address: Any) -> None:
        outcome = self.create_future()
        self.kernel.network.connect(sock, address, outcome)
        await outcome

    async def getaddrinfo(self, host: Any, port: Any, **_more: Any) -> list[Any]:
        return self.kernel.network.look_up(host, port)

    # -- other calls ----------------------------------------------------------------------------------------------

    def run_in_executor(  # type: ignore[override] # typeshed's is wider
        self, _executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run the call when its time is over, as if a thread had taken it at the end of that time."""
        future = self.create_future()
        dice = self.universe.dice
        self.call_later(dice.uniform(0, _SLOW if dice.random() < 0.02 else _QUICK), self.run_call, future, func, args)
        return future

    @staticmethod
    def run_call(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = func(*args)
        except Exception as raised:  # noqa: BLE001 - it belongs to the caller
            error = raised
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override] # typeshed's is wider
        self._signals[sig] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signals.pop(sig, None) is not None

    def send_signal(self, sig: int) -> None:
        """Deliver a signal to the process."""
        callback, args = self._signals[sig]
        self.call_soon(callback, *args)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error, unless it is of a process that was killed."""
        work = context.get("task") or context.get("future")
        if not (
            isinstance(context.get("exception"), Killed) or getattr(work, "owner", "") in self.kernel.processes.dead
        ):
            super().call_exception_handler(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.stray.append(f"{context['message']}: {context.get('exception')!r}")
