"""The small HTTP server of the chassis in the world: good probes beside clients that are slow, silent or rude.

The probes come from another address than the rude clients. In half of the runs there is a *crowd*: more rude clients
than the server takes connections. Then each newcomer is admitted and an idle connection is shed, unless the handler is
at work for all connections.
"""

from __future__ import annotations

import asyncio

from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import server
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.world.http_peers import Incomplete, Message, Peer, body_of
from tests.world.network import Weather
from tests.world.universe import check, check_equal
from tests.world.world import World

_PORT = 9000
_PROBER = ("10.0.0.9", 0)
_PROBES = 10
_RUDE = 12
_DRAIN = 5.0
_SOON = 1.0  # seconds within which a probe is answered beside a crowd


class ChassisWorld:
    """One run of the server, behind a handler that takes its time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.universe = world.universe
        choose = self.universe.choose
        self.is_crowded = self.universe.chance(0.5)
        connections = 8 if self.is_crowded else choose(8, 64)
        self.limits = server.ClientLimits(
            connections=connections, idle=choose(1.0, 20.0), request=choose(0.5, 10.0), write=2.0
        )
        self.size = choose(3, 2_000, 100_000)
        self.working = 0  # requests that the handler has
        self.full_at = -1.0  # when it had as many as there may be connections
        self.is_stopping = False
        world.network.weather["127.0.0.1", _PORT] = Weather(slowest=0.002)

    async def run(self) -> None:
        world = self.world
        world.start(self._service, _DRAIN)
        await world.listening("127.0.0.1", _PORT)
        count = 3 * self.limits.connections if self.is_crowded else _RUDE
        clients = [asyncio.ensure_future(self._rude()) for _ in range(count)]
        if self.is_crowded:
            clients.append(asyncio.ensure_future(self._probe_a_crowd()))
        else:
            clients += [asyncio.ensure_future(self._probe(number)) for number in range(_PROBES)]
        if self.universe.chance(0.3):
            await asyncio.sleep(self.universe.between(0.0, 3.0))
        else:
            await asyncio.wait(clients)
        self.is_stopping = True
        await world.stop(_DRAIN)
        await asyncio.wait(clients)
        for client in clients:
            client.result()
        still_open = world.network.open_connections(lambda own: own.address[1] == _PORT)
        check_equal("after the end no connection is open", [own.peer_address for own in still_open], [])

    async def _service(self, context: ServiceContext) -> None:
        async def answer(request: server.Request) -> server.Response:
            self.working += 1
            self._note_full()
            try:
                await asyncio.sleep(0.0 if self.is_crowded else self.universe.choose(0.0, 0.01, 1.0))
            finally:
                self._note_full()
                self.working -= 1
            return server.Response(200, body_of(request.path, self.size), {"X-Path": request.path})

        async with server.serve(answer, bind(Address("127.0.0.1", _PORT), "TEST"), limits=self.limits):
            await context.stopping.wait()

    def _note_full(self) -> None:
        if self.working >= self.limits.connections:
            self.full_at = self.universe.now

    async def _connect(self, local_addr: tuple[str, int] | None = None) -> Peer | None:
        try:
            return Peer(*await asyncio.open_connection("127.0.0.1", _PORT, local_addr=local_addr))
        except OSError:
            return None

    async def _probe(self, number: int) -> None:
        """Ask as a kubelet does, several times on one connection or on new ones."""
        universe = self.universe
        await asyncio.sleep(universe.between(0.0, 3.0))
        together = universe.choose(1, 1, 2)
        for turn in range(2):
            peer = await self._connect(_PROBER)
            if peer is None:
                check("a probe can connect until the end", self.is_stopping, number)
                return
            try:
                async with asyncio.timeout(60.0):
                    await self._ask(peer, [f"/{number}/{turn}/{each}" for each in range(together)])
            except Incomplete as broken:
                full = self.limits.connections <= _RUDE + _PROBES  # a newcomer may have its place
                check("only the drain, or a newcomer, breaks a probe off", self.is_stopping or full, number, broken)
            except TimeoutError:
                check("every probe ends", False, number)
            finally:
                peer.close()

    async def _probe_a_crowd(self) -> None:
        """Ask now and then, as a kubelet does: each probe is answered soon, however many connections are idle."""
        universe = self.universe
        for turn in range(8):
            await asyncio.sleep(universe.between(0.0, 1.0))
            asked, peer = universe.now, await self._connect(_PROBER)
            outcome = "no connection" if peer is None else await self._outcome(peer, f"/crowd/{turn}")
            took = universe.now - asked
            is_answered = outcome == "answered" and took <= _SOON
            check("a newcomer is answered beside a crowd", is_answered or self.is_stopping, outcome, f"{took:.3f} s")
            if self.is_stopping:
                return

    async def _outcome(self, peer: Peer, path: str) -> str:
        try:
            async with asyncio.timeout(60.0):
                return "answered" if await self._ask(peer, [path]) else "503"
        except Incomplete as broken:
            return f"broken off {broken}"
        except TimeoutError:
            return "silence"
        finally:
            peer.close()

    async def _ask(self, peer: Peer, paths: list[str]) -> bool:
        """Return True if all were answered, and False if the server refused the connection."""
        asked = self.universe.now
        for path in paths:
            peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        for path in paths:
            response = Message(b"")
            await peer.read_response(response)
            self.universe.record(f"probe {path} gets {response.status}")
            if response.status == 503:
                full = self.full_at >= asked or self.working >= self.limits.connections
                check("a newcomer is refused only while all connections are working", full, path)
                return False
            check_equal(
                "a response is that of its request",
                (response.field("X-Path"), response.body),
                (path, body_of(path, self.size)),
            )
        return True

    async def _rude(self) -> None:
        universe = self.universe
        await asyncio.sleep(universe.between(0.0, 2.0))
        peer = await self._connect()
        if peer is None:
            return
        await self._misbehave(peer)
        try:
            async with asyncio.timeout(120.0):
                while await peer.reader.read(65536):
                    pass
        except ConnectionError:
            pass
        except TimeoutError:
            check("every connection ends", False, "a rude one")
        peer.close()

    async def _misbehave(self, peer: Peer) -> None:
        universe = self.universe
        match universe.choose("silent", "half", "leave", "reset", "deaf", "garbage", "body"):
            case "half":
                peer.send(b"GET /slow HTTP/1.1\r\nHos")
            case "leave":
                peer.send(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.sleep(universe.between(0.0, 0.1))
                peer.close()
            case "reset":
                peer.send(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.sleep(universe.between(0.0, 0.1))
                peer.reset()
            case "deaf":
                peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # it is a whole transport
                peer.send(b"GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
                await asyncio.sleep(30.0)
                peer.writer.transport.resume_reading()  # type: ignore[attr-defined] # it is a whole transport
            case "garbage":
                peer.send(b"\0\1\2\3" * 10_000)
            case "body":
                peer.send(b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
