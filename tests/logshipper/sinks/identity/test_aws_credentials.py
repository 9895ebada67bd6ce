"""AWS credentials are renewed before they end, by one fetch at a time, and a failed fetch costs nothing before that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.aws_signature import AwsKeys
from sidecars.chassis.runtime import scrubber
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.identity.aws_credentials import AwsCredentials, refresh_time

HOUR = 3600.0


class Script:
    """A source that gives numbered keys for an hour, or fails; and a clock."""

    name = "the test"

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.lifetime = HOUR
        self.fetches = 0
        self.failing = False
        self.asked = asyncio.Event()
        self.held: asyncio.Event | None = None

    def clock(self) -> float:
        return self.now

    async def fetch(self) -> AwsKeys:
        self.fetches += 1
        self.asked.set()
        number = self.fetches
        if self.held is not None:
            await self.held.wait()
        if self.failing:
            raise NoCredentials("the source is down")
        return AwsKeys(f"AKID{number}", f"secret-of-{number}", f"token-of-{number}", self.now + self.lifetime)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def credentials(script: Script) -> AwsCredentials:
    return AwsCredentials(script, script.clock)


async def settled(credentials: AwsCredentials) -> None:
    """Let a fetch end that nobody waits for."""
    if credentials._fetch is not None:
        await asyncio.gather(credentials._fetch, return_exceptions=True)


@given(st.floats(0, 0.999999), st.floats(1, 100_000))
def test_a_refresh_begins_5_to_10_minutes_before_the_end_or_in_the_middle_of_a_short_life(
    chance: float, lifetime: float
) -> None:
    at = refresh_time(AwsKeys("a", "s", None, 1000 + lifetime), 1000, chance)
    assert at is not None
    left = 1000 + lifetime - at
    if lifetime >= 1200:
        assert 300 <= left <= 600
    else:
        assert 0 < left <= lifetime / 2 + 1e-6


def test_keys_without_an_end_are_never_fetched_again() -> None:
    assert refresh_time(AwsKeys("a", "s"), 0, 0.5) is None


async def test_keys_are_kept_until_ten_minutes_before_their_end(credentials: AwsCredentials, script: Script) -> None:
    first = await credentials.current()
    script.now += HOUR - 601
    assert await credentials.current() is first
    assert script.fetches == 1


async def test_the_old_keys_are_used_while_new_ones_are_fetched(credentials: AwsCredentials, script: Script) -> None:
    first = await credentials.current()
    script.held = asyncio.Event()
    script.now += HOUR - 299
    assert await credentials.current() is first
    assert await credentials.current() is first
    script.held.set()
    await settled(credentials)
    assert (await credentials.current()).access_key == "AKID2"
    assert script.fetches == 2


async def test_all_who_wait_share_one_fetch_and_one_that_leaves_does_not_end_it(
    credentials: AwsCredentials, script: Script
) -> None:
    script.held = asyncio.Event()
    waiting = [asyncio.create_task(credentials.current()) for _ in range(5)]
    await script.asked.wait()
    waiting[0].cancel()
    await asyncio.sleep(0)
    script.held.set()
    keys = await asyncio.gather(*waiting[1:])
    assert {one.access_key for one in keys} == {"AKID1"}
    assert script.fetches == 1


async def test_a_failed_refresh_keeps_the_old_keys_until_they_end_and_is_repeated_after_a_pause(
    credentials: AwsCredentials, script: Script
) -> None:
    first = await credentials.current()
    script.failing = True
    script.now += HOUR - 299
    for _ in range(10):
        assert await credentials.current() is first
        await settled(credentials)
    assert script.fetches == 2
    script.now += 31
    assert await credentials.current() is first
    await settled(credentials)
    assert script.fetches == 3
    script.now += HOUR
    with pytest.raises(RetryLater, match="the source is down"):
        await credentials.current()
    script.failing = False
    assert (await credentials.current()).access_key == "AKID5"


async def test_rejected_keys_are_replaced_at_once_and_newer_ones_are_kept(
    credentials: AwsCredentials, script: Script
) -> None:
    first = await credentials.current()
    credentials.reject(first)
    second = await credentials.current()
    assert second.access_key == "AKID2"
    credentials.reject(first)  # by a request that was sent with the old ones
    assert await credentials.current() is second


async def test_keys_that_have_ended_already_are_none(credentials: AwsCredentials, script: Script) -> None:
    script.lifetime = -1.0
    with pytest.raises(RetryLater, match="have ended: is this clock right"):
        await credentials.current()


async def test_secrets_that_were_fetched_are_hidden_in_all_outputs(credentials: AwsCredentials) -> None:
    keys = await credentials.current()
    assert scrubber.net.scrub(f"oops {keys.secret_key} {keys.session_token}", "test") == "oops *** ***"


async def test_a_fetch_ends_with_the_sink(credentials: AwsCredentials, script: Script, tmp_path: Path) -> None:
    script.held = asyncio.Event()
    waiting = asyncio.create_task(credentials.current())
    await script.asked.wait()
    await credentials.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
