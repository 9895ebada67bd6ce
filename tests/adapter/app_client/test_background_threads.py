"""Background threads parse and write large pages, and only until the deadline."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sidecars.adapter.app_client.background_threads import LARGE, Abandoned, BackgroundThreads
from sidecars.adapter.app_client.client import AppClient
from sidecars.adapter.app_client.interpretation import Interpretation, InterpretationOptions, interpret_response
from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse
from sidecars.adapter.exposition import lexer
from sidecars.adapter.exposition.cancellation import Checkpoint
from sidecars.adapter.server.routes import routes_of
from sidecars.adapter.settings import Settings
from sidecars.adapter.statistics import Statistics
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import Health
from tests.adapter.support import App, app_url, respond

HEADERS = {"content-type": "text/plain", "content-length": "1"}
PAGE = b"up 1\n" + b"# a note\n" * (LARGE // 9)


class Gate:
    """A set of all HTTP statuses. A membership test waits until the gate opens; the testing threads are recorded."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked_by: list[threading.Thread] = []

    def __contains__(self, _status: object) -> bool:
        self.asked_by.append(threading.current_thread())
        return self.open.wait(60)


def test_lines_that_say_nothing_cost_no_work_each() -> None:
    nothing = (b"\n", b"   \n", b"#\n", b"# a note\n", b"#HELPFUL\n", b"\t\t# TYPES are not TYPE\n")
    for line in (*nothing, b"".join(nothing)):
        page = line * (4 * 1024 * 1024 // len(line)) + b"up 1\n"
        rows = [row for block in lexer.scan(page, 0, len(page), openmetrics=False) for row in block]

        assert len(rows) <= 40
        assert sum(map(lexer.line_count, rows)) == page.count(b"\n")


def test_the_line_of_a_mistake_behind_lines_that_say_nothing_is_told() -> None:
    found = interpret_response(
        AppResponse(200, HEADERS, b"\n# a note\n\n" * 50_000 + b"up one\n"), InterpretationOptions(1 << 30, 10)
    )

    assert str(found) == "answered with malformed metrics: line 150001: the value one is not a number"


async def test_large_work_is_done_by_a_thread_and_the_loop_goes_on() -> None:
    gate, background = Gate(), BackgroundThreads()
    response, options = AppResponse(200, HEADERS, PAGE), InterpretationOptions(1 << 30, 10, valid_statuses=gate)
    reading = asyncio.create_task(
        background.run("shop", len(PAGE), lambda go: interpret_response(response, options, go))
    )
    while not gate.asked_by:  # noqa: ASYNC110 - a thread changes the list
        await asyncio.sleep(0.001)
    gate.open.set()  # by the event loop, while the thread reads the response
    found = await reading
    background.close()

    assert gate.asked_by != [threading.current_thread()]
    assert isinstance(found, Interpretation)
    assert found.exposition.select("up")[0].value == 1


async def test_small_work_is_done_at_once() -> None:
    found = await BackgroundThreads().run("shop", 10, lambda _: threading.current_thread())

    assert found is threading.current_thread()


async def test_work_that_nobody_waits_for_is_told_to_end_and_the_next_comes_after_it() -> None:
    background, begun = BackgroundThreads(), threading.Event()
    ended: list[str] = []

    def work(checkpoint: Checkpoint) -> None:
        begun.set()
        try:
            while True:
                checkpoint()
        except Abandoned:
            ended.append("first")
            raise

    first = asyncio.create_task(background.run("shop", LARGE, work))
    while not begun.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)
    second = asyncio.create_task(background.run("shop", LARGE, lambda _: ended.append("second")))
    first.cancel()
    await second
    background.close()

    assert ended == ["first", "second"]


def test_a_reading_ends_when_it_is_told_to() -> None:
    class Over(Exception):
        pass

    def checkpoint() -> None:
        raise Over

    with pytest.raises(Over):
        interpret_response(AppResponse(200, HEADERS, PAGE), InterpretationOptions(1 << 30, 10), checkpoint)


async def test_an_answer_that_is_not_read_in_time_is_a_time_out() -> None:
    gate = Gate()
    with App({"/metrics": respond(PAGE)}) as app:
        apps = load(Settings, {"ADAPTER_TARGET": app.url}).apps.values()
        app_request = AppRequest("default", app_url(f"{app.url}/metrics"), timeout=5, max_body=1 << 30)
        options = {app_request: InterpretationOptions(1 << 30, 10, valid_statuses=gate)}
        try:
            async with AppClient(apps, Statistics(routes_of(apps)).apps, Health(), options) as client:
                outcome = await client.fetch(app_request)
        finally:
            gate.open.set()

    assert isinstance(outcome, NoResponse)
    assert outcome.reason == "timeout"
    assert outcome.phrase == f"answered, but its body of {len(PAGE)} B could not be read within 5s"
