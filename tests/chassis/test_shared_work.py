"""Work that is done once for all who wait."""

from __future__ import annotations

import asyncio

import pytest

from sidecars.chassis.shared_work import LONGEST_REST, SharedWork


class Works:
    """Works that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.came = asyncio.Event()
        self.may_end = asyncio.Event()

    async def work(self, key: str) -> int:
        self.begun.append(key)
        self.came.set()
        await self.may_end.wait()
        return len(self.begun)


async def test_all_who_ask_while_a_work_is_under_way_share_the_next_one() -> None:
    works, shared = Works(), SharedWork[str, int]()
    first = asyncio.create_task(shared.result("a", works.work))
    await works.came.wait()
    others = [asyncio.create_task(shared.result("a", works.work)) for _ in range(100)]
    await asyncio.sleep(0)
    works.may_end.set()

    assert await first == 1
    assert set(await asyncio.gather(*others)) == {2}
    assert works.begun == ["a", "a"]


async def test_a_result_is_that_of_its_key_and_one_work_is_done_at_a_time() -> None:
    works, shared = Works(), SharedWork[str, int]()
    tasks = [asyncio.create_task(shared.result(key, works.work)) for key in "abab"]
    await works.came.wait()
    begun_at_once = list(works.begun)
    works.may_end.set()

    assert await asyncio.gather(*tasks) == [1, 2, 1, 2]
    assert begun_at_once == ["a"]


async def test_who_leaves_stops_no_work_of_others() -> None:
    works, shared = Works(), SharedWork[str, int]()
    leaving, staying = (asyncio.create_task(shared.result("a", works.work)) for _ in range(2))
    await works.came.wait()
    leaving.cancel()
    works.may_end.set()

    assert await staying == 1


async def test_an_error_reaches_those_who_share_it_and_no_one_later() -> None:
    shared = SharedWork[str, int]()

    async def fail(key: str) -> int:
        raise ValueError(key)

    found = await asyncio.gather(shared.result("a", fail), shared.result("a", fail), return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError]

    works = Works()
    works.may_end.set()
    assert await shared.result("a", works.work) == 1


async def test_a_work_is_followed_by_a_rest_that_is_longer_than_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rests = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        rests.append(round(seconds, 6))
        now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now, raising=False)
    shared = SharedWork[float, None]()

    async def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    for seconds in (0.02, 7.0, 0.0):
        await shared.result(seconds, work)
    now += 1
    await shared.result(0.0, work)

    assert rests == [0.06, LONGEST_REST]
