"""The keeper of credentials: when it fetches, who waits, and what readiness says; on a clock of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from sidecars.ambassador.proxy.identity.keeper import Credentials, Keeper
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.runtime.health import ReadinessLatch
from tests.ambassador.exchanges import Pair


class App:
    """Who waits."""

    over = False


class World:
    """A clock, a source that gives numbered tokens for an hour or fails, and the keeper."""

    def __init__(self, pair: Pair) -> None:
        self.loop = pair.loop
        self.upstream = pair.upstream
        self.now = 1000.0
        self.fetches = 0
        self.failing = False
        self.held: asyncio.Event | None = None
        self.latch = ReadinessLatch("identity", "none yet")
        self.keeper = Keeper(pair.upstream, self.latch, self.fetch, lambda: self.now)

    async def fetch(self) -> Credentials:
        self.fetches += 1
        number = self.fetches
        if self.held is not None:
            await self.held.wait()
        if self.failing:
            raise NoCredentials("the service is down")
        return Credentials(self.now + 3600, self.now + 2800, line=b"token-%d" % number)

    def tick(self, seconds: float = 0.0) -> None:
        """Let this time pass, and whatever can end."""
        self.now += seconds
        self.keeper.tick(self.now)
        self.settle()

    def settle(self) -> None:
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))

    def is_fetching(self) -> bool:
        return self.keeper.is_fetching

    @property
    def line(self) -> bytes:
        assert self.keeper.current is not None
        return self.keeper.current.line


@pytest.fixture
def world() -> Iterator[World]:
    with Pair() as pair:
        made = World(pair)
        yield made
        made.keeper.close()
        made.settle()


def test_credentials_are_renewed_before_their_end_and_not_earlier(world: World) -> None:
    world.tick()
    assert (world.line, world.latch.reason) == (b"token-1", "")
    world.tick(2799)
    assert world.fetches == 1
    world.tick(1)
    assert world.line == b"token-2"


def test_a_fetch_that_fails_costs_nothing_until_the_end_and_is_repeated_after_pauses(world: World) -> None:
    world.tick()
    world.failing = True
    world.tick(2800)
    for _ in range(799):
        world.tick(1)
        assert world.keeper.ends > world.now
        assert not world.latch.reason
    assert 20 <= world.fetches - 1 <= 50  # 800 s with pauses of up to half a minute
    world.tick(2)
    assert world.keeper.ends <= world.now
    assert "the service is down" in world.latch.reason
    cause = world.keeper.wait(App(), int, world.now)
    assert cause is not None
    assert (cause.status, cause.text) == (503, "there are no credentials for the upstream: the service is down")
    world.failing = False
    world.tick(31)
    assert not world.latch.reason


def test_credentials_that_are_always_near_their_end_are_fetched_once_in_a_second(world: World) -> None:
    async def fetch() -> Credentials:
        world.fetches += 1
        return Credentials(world.now + 0.5, world.now + 0.2, line=b"short")

    world.keeper = Keeper(world.upstream, world.latch, fetch, lambda: world.now)
    for _ in range(50):
        world.tick(0.2)
    assert 9 <= world.fetches <= 11


def test_all_who_wait_share_one_fetch_and_go_on_behind_it(world: World) -> None:
    world.held = asyncio.Event()
    went_on: list[int] = []
    for number in range(50):
        go_on = partial(went_on.append, number)
        assert world.keeper.wait(App(), go_on, world.now) is None
    world.tick(0.2)
    assert (world.fetches, went_on) == (1, [])
    world.held.set()
    world.settle()
    assert (world.fetches, went_on) == (1, list(range(50)))


def test_whose_app_has_left_takes_no_place_of_those_who_wait(world: World) -> None:
    world.held = asyncio.Event()
    went_on: list[str] = []
    most = world.upstream.settings.max_pending
    apps = [App() for _ in range(most)]
    for app in apps:
        assert world.keeper.wait(app, partial(went_on.append, "gone"), world.now) is None
    assert world.keeper.wait(App(), int, world.now) is not None
    for app in apps:
        app.over = True
    assert world.keeper.wait(App(), partial(went_on.append, "waits"), world.now) is None
    world.held.set()
    world.settle()
    assert went_on == ["waits"]


def test_a_rejection_leads_to_one_fetch_in_a_minute_and_to_none_for_older_requests(world: World) -> None:
    world.tick()
    world.now += 1
    assert world.keeper.reject(since=world.now, now=world.now)
    assert world.is_fetching()
    assert world.line == b"token-1"  # in force until the new one has come
    world.settle()
    assert world.line == b"token-2"
    assert world.keeper.reject(since=world.now - 1, now=world.now)  # it had the old one
    assert not world.is_fetching()
    world.now += 59
    assert not world.keeper.reject(since=world.now, now=world.now)
    world.now += 1
    assert world.keeper.reject(since=world.now, now=world.now)


def test_credentials_that_have_ended_already_are_none(world: World) -> None:
    async def late() -> Credentials:
        return Credentials(world.now, world.now, line=b"token")

    world.keeper._fetch = late
    world.tick()
    assert "is this clock right?" in world.latch.reason
