"""The adapter in the world: probers ask for the health of an app that is up, down, slow or broken as the dice say."""

from __future__ import annotations

import asyncio

from sidecars.adapter import app
from sidecars.adapter.settings import Settings
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.world.http_peers import Incomplete, Message, Peer
from tests.world.network import Weather
from tests.world.universe import check
from tests.world.world import World

_PORT, _APP = 8081, ("10.0.2.1", 8080)
_PROBERS = 5
_DRAIN = 5.0
_SLACK = 0.1  # seconds for the network between prober, adapter and app, beside what the weather stalls
_UP, _DOWN = b'{"status": "UP"}', b'{"status": "DOWN"}'


class AdapterWorld:
    """One run of the adapter."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.universe = world.universe
        self.timeout = self.universe.choose(0.3, 1.0)
        self.cache_ttl = self.universe.choose(0.0, 0.0, 2.0)
        self.settings = load(
            Settings,
            {
                "ADAPTER_LISTEN": f"127.0.0.1:{_PORT}",
                "ADAPTER_ADMIN_LISTEN": "off",
                "ADAPTER_TARGET": f"http://{_APP[0]}:{_APP[1]}",
                "ADAPTER_ROUTES": "/health=/actuator/health",
                "ADAPTER_MODE": "verdict",
                "ADAPTER_TIMEOUT": f"{int(1000 * self.timeout)}ms",
                "ADAPTER_CACHE_TTL": f"{int(self.cache_ttl)}s",
                "ADAPTER_DRAIN_TIMEOUT": f"{_DRAIN}s",
            },
        )
        self.told_up: list[float] = []  # when the app has said, in whole, that it is up
        self.badness = self.universe.choose(0.1, 0.5, 0.9)
        world.network.weather["127.0.0.1", _PORT] = Weather(slowest=0.002)
        world.network.weather[_APP] = Weather(slowest=0.01)

    async def run(self) -> None:
        world, universe = self.world, self.universe
        target = await asyncio.start_server(self._serve, *_APP)
        world.start(self._service, _DRAIN)
        await world.listening("127.0.0.1", _PORT)
        probers = [asyncio.ensure_future(self._probe(number)) for number in range(_PROBERS)]
        weather = asyncio.ensure_future(self._change_weather())
        await asyncio.wait(probers)
        await world.stop(_DRAIN)
        weather.cancel()
        target.close()
        for prober in probers:
            prober.result()
        ours = world.network.open_connections(lambda own: own.address[1] == _PORT or own.peer_address[1] == _APP[1])
        check("after the end no connection is open", not ours, *(own.peer_address for own in ours))
        universe.record(f"the app said {len(self.told_up)} times that it is up")

    async def _service(self, context: ServiceContext) -> None:
        await app.run(self.settings, context)

    async def _change_weather(self) -> None:
        weather = self.world.network.weather[_APP]
        while True:
            await asyncio.sleep(self.universe.between(0.3, 2.0))
            weather.refuses, weather.hangs = self.universe.chance(0.2), self.universe.chance(0.1)
            self.badness = self.universe.choose(0.0, 0.5, 1.0)

    # -- the app --------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        try:
            while await self._serve_one(peer):
                pass
        except (Incomplete, ConnectionError):
            pass
        peer.close()

    async def _serve_one(self, peer: Peer) -> bool:
        """Serve one request; return True if another one may follow."""
        universe = self.universe
        await peer.read_request()
        how = (
            universe.choose("down", "503", "silence", "slow", "half", "reset", "lie")
            if universe.chance(self.badness)
            else "up"
        )
        body = _DOWN if how in ("down", "503") else _UP
        head = b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\n" % (503 if how == "503" else 200)
        whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self.universe.record(f"the app is asked, and is {how}")
        match how:
            case "silence":
                await asyncio.sleep(universe.choose(1.0, 5.0))
                return False
            case "reset":
                peer.reset()
                return False
            case "half":
                peer.send(whole[: universe.dice.randint(1, len(whole) - 1)])
                return False
            case "lie":
                peer.send(head + b"Content-Length: 3\r\n\r\n{]}")
                return True
            case "slow":
                cut = universe.dice.randint(1, len(whole) - 1)
                peer.send(whole[:cut])
                await asyncio.sleep(universe.choose(0.1, 0.5, 2.0))
                whole = whole[cut:]
        if body == _UP:
            self.told_up.append(universe.now)
        peer.send(whole)
        await peer.flush()
        return True

    # -- the probers ----------------------------------------------------------------------------------------------

    async def _probe(self, number: int) -> None:
        universe = self.universe
        peer: Peer | None = None
        for turn in range(6):
            await asyncio.sleep(universe.between(0.0, 1.5))
            peer = peer or Peer(*await asyncio.open_connection("127.0.0.1", _PORT))
            asked = universe.now
            peer.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            if universe.chance(0.1):
                peer.reset()
                peer = None
                continue
            response = Message(b"")
            try:
                async with asyncio.timeout(self.timeout + 10.0):
                    await peer.read_response(response)
            except TimeoutError:
                check("every probe is answered", False, number, turn)
            self._judge(response, asked)
            universe.record(f"prober {number} gets {response.status}")
            if universe.chance(0.3):
                peer.close()
                peer = None
        if peer is not None:
            peer.close()

    def _judge(self, response: Message, asked: float) -> None:
        now = self.universe.now
        took = now - asked
        check(
            "a probe is answered within ADAPTER_TIMEOUT",
            took <= self.timeout + _SLACK,
            f"{took:.3f} s, {response.head!r}",
        )
        if response.status != 200:
            check("a probe that fails gets 503", response.status == 503, response.head)
            return
        oldest = asked - self.timeout - self.cache_ttl - _SLACK
        fresh = [at for at in self.told_up if oldest <= at <= now]
        check("no pass without data that is younger than the deadline", fresh, f"asked at {asked}", self.told_up[-3:])
