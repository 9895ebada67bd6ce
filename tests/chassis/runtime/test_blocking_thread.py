"""Blocking calls in a thread of their own."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from sidecars.chassis.runtime.blocking_thread import BlockingThread
from tests.support import wait_until


async def test_a_call_has_its_result_or_its_error() -> None:
    thread = BlockingThread("test")

    assert await thread.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await thread.call(divmod, 7, 0)


async def test_where_no_thread_can_be_started_each_call_says_so_and_a_later_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread = BlockingThread("test")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start"):
                await thread.call(divmod, 7, 2)

    assert await thread.call(divmod, 7, 2) == (3, 1)


async def test_a_thread_that_waits_holds_nothing_of_its_last_call() -> None:
    class State(list[int]):
        """A large object of one call."""

    thread, state = BlockingThread("test"), State()
    held = weakref.ref(state)
    await thread.call(len, state)
    del state
    wait_until(lambda: gc.collect() >= 0 and held() is None, "the state is freed")
