"""The token of a sink: one fetch for all who wait, in time, and once in a minute after a rejection."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable

import pytest

from sidecars.chassis.identity.access_tokens import AccessToken
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.runtime import logs, scrubber
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.identity.token_cache import TokenCache

NOW = 1000.0


class Script:
    """A source of numbered tokens that live for an hour, and a clock."""

    def __init__(self) -> None:
        self.now, self.fetches, self.failing = NOW, 0, ""
        self.held: asyncio.Event | None = None

    async def fetch(self, now: float) -> AccessToken:
        self.fetches += 1
        number = self.fetches
        if self.held is not None:
            await self.held.wait()
        if self.failing:
            raise NoCredentials(self.failing)
        return AccessToken(f"token-number-{number}", now, now + 3600)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def tokens(script: Script) -> TokenCache:
    return TokenCache(script, lambda: script.now)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_fetch_serves_all_that_wait(script: Script, tokens: TokenCache) -> None:
    script.held = asyncio.Event()
    waiting = [asyncio.create_task(tokens.current()) for _ in range(50)]
    await settled()
    waiting[0].cancel()  # a batch that is given up takes no token from the others
    script.held.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert script.fetches == 1
    assert {token.text for token in found if isinstance(token, AccessToken)} == {"token-number-1"}


async def test_a_token_is_renewed_beside_the_requests_and_a_failure_costs_nothing_before_its_end(
    script: Script, tokens: TokenCache
) -> None:
    await tokens.current()
    script.now, script.failing = NOW + 3590, "the service is down"
    for _ in range(100):
        assert (await tokens.current()).text == "token-number-1"
        await settled()
    assert script.fetches == 2
    script.failing, script.now = "", NOW + 3599
    await tokens.current()
    await settled()
    assert script.fetches == 2  # a pause lies between two tries
    script.now = NOW + 3600
    assert (await tokens.current()).text == "token-number-3"


async def test_a_rejected_token_is_replaced_once_in_a_minute(script: Script, tokens: TokenCache) -> None:
    turns = {0: "token-number-1", 1: "token-number-2", 90: "token-number-2", 91: "token-number-3"}
    for later, wanted in turns.items():
        script.now = NOW + later
        token = await tokens.current()
        assert token.text == wanted
        tokens.reject(token)


async def test_a_token_is_hidden_in_all_outputs(tokens: TokenCache) -> None:
    await tokens.current()
    assert scrubber.net.scrub("it said token-number-1", "a test") == "it said ***"


async def logged_failures(script: Script, tokens: TokenCache, failures: Iterable[tuple[float, str]]) -> int:
    """Fail at each time (in seconds) for the reason. Return the number of failures that are in the log."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    for seconds, script.failing in failures:
        script.now = NOW + seconds
        with pytest.raises(RetryLater):
            await tokens.current()
        await settled()
    return stream.getvalue().count("token-not-renewed")


async def test_fetches_that_fail_for_one_reason_are_logged_once_in_half_a_minute(
    script: Script, tokens: TokenCache
) -> None:
    assert await logged_failures(script, tokens, [(at, "it is down") for at in (0, 0.5, 29, 30, 31)]) == 2


async def test_fetches_that_fail_for_two_reasons_by_turns_are_logged_once_for_each(
    script: Script, tokens: TokenCache
) -> None:
    assert await logged_failures(script, tokens, [(at, f"status {500 + at % 2}") for at in range(30)]) == 2


async def test_reasons_that_are_others_each_time_do_not_flood_the_log(script: Script, tokens: TokenCache) -> None:
    assert await logged_failures(script, tokens, [(at / 2, f"request {at}") for at in range(60)]) == 4
