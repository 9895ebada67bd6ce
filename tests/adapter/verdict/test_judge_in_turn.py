"""Large pages are judged by a thread, in the order in which they came, and each once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sidecars.adapter.app_client.background_threads import LARGE, BackgroundThreads
from sidecars.adapter.app_client.interpretation import interpret_response
from sidecars.adapter.app_client.outcome import AppRequest, AppResponse
from sidecars.adapter.settings import Settings
from sidecars.adapter.verdict.judge import Judge, options_of
from sidecars.adapter.verdict.rule_file import ReloadingRules
from sidecars.chassis.config.settings import load
from tests.adapter.support import app_url

APP_REQUEST = AppRequest("default", app_url("http://127.0.0.1:8080/metrics"), 0.8, 1 << 20)
APP = load(Settings, {"ADAPTER_MODE": "verdict", "ADAPTER_RULES": "db: up == 1"}).apps["default"]


class Clock:
    """A clock that stops the thread that reads it until `go`. It notes the threads."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.threads: list[int] = []

    def __call__(self) -> float:
        self.threads.append(threading.get_ident())
        if threading.current_thread() is not threading.main_thread():
            assert self.go.wait(60)
        return 1e9


@pytest.fixture
def background() -> Iterator[BackgroundThreads]:
    threads = BackgroundThreads()
    yield threads
    threads.close()


def judge(clock: Clock) -> Judge:
    assert APP.rules is not None
    return Judge(APP, APP_REQUEST, ReloadingRules(APP.rules, "ADAPTER_RULES"), clock)


def page(up: int, *, large: bool) -> AppResponse:
    """Return an interpreted response."""
    more = "# a note about nothing\n" * (LARGE // 20) if large else ""
    response = AppResponse(200, {"content-type": "text/plain"}, f"up {up}\n{more}".encode())
    return replace(response, interpretation=interpret_response(response, options_of(APP)))


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_large_page_is_judged_by_a_thread_and_a_small_one_at_once(background: BackgroundThreads) -> None:
    clock = Clock()
    clock.go.set()
    judging = judge(clock)

    assert (await judging.judge_in_turn(page(1, large=True), background)).status == "pass"
    assert (await judging.judge_in_turn(page(0, large=False), background)).status == "fail"
    assert [each == threading.get_ident() for each in clock.threads] == [False, True]


async def test_a_small_page_is_judged_after_the_large_one_before_it(background: BackgroundThreads) -> None:
    clock = Clock()
    judging = judge(clock)
    first = asyncio.create_task(judging.judge_in_turn(page(1, large=True), background))
    await turns()
    second = asyncio.create_task(judging.judge_in_turn(page(0, large=False), background))
    await turns()
    assert not second.done()
    clock.go.set()

    assert [(await first).status, (await second).status] == ["pass", "fail"]
    assert judging.verdict is await second


async def test_probers_that_share_a_large_page_share_its_judgement(background: BackgroundThreads) -> None:
    clock = Clock()
    judging, outcome = judge(clock), page(1, large=True)
    several = [asyncio.create_task(judging.judge_in_turn(outcome, background)) for _ in range(5)]
    await turns()
    several[0].cancel()  # the first one leaves
    await turns()
    clock.go.set()
    verdicts = await asyncio.gather(*several[1:])

    assert {id(verdict) for verdict in verdicts} == {id(judging.verdict)}
    assert len(clock.threads) == 1
