"""Few TLS handshakes at a time, and none keeps the others waiting."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecars.chassis.accept import handshakes
from sidecars.chassis.accept.budget import Budget
from sidecars.chassis.accept.handshakes import Handshakes
from tests.support import PATIENCE


class Table:
    """Handshakes that never end by themselves. `running` are the names of those that run, in their order."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.budget = Budget(1000, 1000)
        self.running: list[str] = []
        self.names: dict[socket.socket, str] = {}
        self.clients: list[socket.socket] = []
        self.changed = asyncio.Event()
        self.handshakes = Handshakes(self.loop, lambda accepted, _: self.loop.create_task(self._shake(accepted)))

    async def _shake(self, accepted: socket.socket) -> None:
        """Read until the connection is shut down, as TLS does."""
        self.running.append(self.names[accepted])
        self.changed.set()
        await self.loop.sock_recv(accepted, 1)
        self.running.remove(self.names[accepted])
        self.changed.set()
        raise ConnectionAbortedError

    def come(self, peer: str, name: str) -> None:
        accepted, client = socket.socketpair()
        accepted.setblocking(False)
        self.clients.append(client)
        self.names[accepted] = name
        ticket = self.budget.admit(peer, lambda: None)
        assert ticket is not None
        self.handshakes.add(accepted, ticket)

    async def until_running(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while sorted(self.running) != sorted(names):
                await self.changed.wait()
                self.changed.clear()

    async def end(self) -> None:
        self.handshakes.close()
        await self.until_running()
        await asyncio.sleep(0)  # the callbacks of the ended tasks
        for own in [*self.clients, *self.names]:
            own.close()


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "AT_ONCE", 2)
    monkeypatch.setattr(handshakes, "LEAST", 3600.0)


async def test_no_more_than_so_many_run_and_the_others_wait() -> None:
    table = Table()
    for number in range(5):
        table.come("flood", f"f{number}")
    await table.until_running("f0", "f1")
    assert table.budget.held == 5
    await table.end()
    assert table.budget.held == 0


async def test_a_new_peer_is_the_next_and_of_one_peer_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()
    for number in range(5):
        table.come("flood", f"f{number}")
    await table.until_running("f0", "f1")
    table.come("prober", "p")
    table.clients[0].close()
    await table.until_running("f1", "p")
    table.clients[1].close()
    await table.until_running("f4", "p")
    await table.end()


async def test_a_handshake_that_has_had_its_time_makes_room_for_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "AT_ONCE", 3)
    table = Table()
    for peer, name in (("prober", "p"), ("flood", "f0"), ("flood", "f1")):
        table.come(peer, name)
    await table.until_running("f0", "f1", "p")
    monkeypatch.setattr(handshakes, "LEAST", 0.0)
    table.come("flood", "f2")
    await table.until_running("f1", "f2", "p")  # the prober's is older, but the flood runs more
    await table.end()
