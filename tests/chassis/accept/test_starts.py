"""Few connections start at a time, and none keeps the others waiting."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecars.chassis.accept import starts
from sidecars.chassis.accept.budget import Budget
from sidecars.chassis.accept.starts import Starts
from tests.support import PATIENCE


class Table:
    """Starts that never end by themselves. `running` are the names of those that run, in their order."""

    def __init__(self, *, with_tls: bool = True) -> None:
        self.loop = asyncio.get_running_loop()
        self.budget = Budget(1000, 1000)
        self.running: list[str] = []
        self.names: dict[socket.socket, str] = {}
        self.clients: list[socket.socket] = []
        self.changed = asyncio.Event()
        self.starts = Starts(
            self.loop, lambda accepted, _: self.loop.create_task(self._shake(accepted)), with_tls=with_tls
        )

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
        self.starts.add(accepted, ticket)

    async def until_running(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while sorted(self.running) != sorted(names):
                await self.changed.wait()
                self.changed.clear()

    async def end(self) -> None:
        self.starts.close()
        await self.until_running()
        await asyncio.sleep(0)  # the callbacks of the ended tasks
        for own in [*self.clients, *self.names]:
            own.close()


@pytest.fixture(autouse=True)
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "HANDSHAKES", 2)
    monkeypatch.setattr(starts, "PLAIN", 2)
    monkeypatch.setattr(starts, "LEAST", 3600.0)
    monkeypatch.setattr(starts, "LEAST_OF_MANY", 3600.0)


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


async def test_a_start_that_has_had_its_time_makes_room_for_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "HANDSHAKES", 3)
    table = Table()
    for peer, name in (("prober", "p"), ("flood", "f0"), ("flood", "f1")):
        table.come(peer, name)
    await table.until_running("f0", "f1", "p")
    monkeypatch.setattr(starts, "LEAST", 0.0)
    table.come("flood", "f2")
    await table.until_running("f1", "f2", "p")  # the prober's is older, but the flood runs more
    await table.end()


async def test_if_more_wait_than_run_each_has_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "LEAST_OF_MANY", 0.0)
    table = Table()
    for number in range(4):
        table.come("flood", f"f{number}")
    await table.until_running("f0", "f1")  # two run and two wait
    table.come("prober", "p")
    await table.until_running("f3", "p")  # three waited: two of them have the places, and one waits on
    await table.end()


async def test_one_that_is_shed_while_it_waits_leaves_nothing() -> None:
    table = Table()
    for number in range(3):
        table.come("flood", f"f{number}")
    assert [table.budget.shed_one() for _ in range(3)] == [True] * 3
    await table.until_running()
    await table.end()
    assert table.budget.held == 0


async def test_without_tls_none_is_ended_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST", "LEAST_OF_MANY"):
        monkeypatch.setattr(starts, name, 0.0)
    table = Table(with_tls=False)
    for number in range(5):
        table.come("flood", f"f{number}")
    await table.until_running("f0", "f1")
    for _ in range(10):
        await asyncio.sleep(0)  # turns of the loop, in which timers that are due run
    assert table.running == ["f0", "f1"]
    await table.end()
