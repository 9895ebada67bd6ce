"""Large work is done by a thread, small work at once."""

from __future__ import annotations

import threading

import pytest

from sidecars.logshipper.model.record_thread import LARGE, beside_the_loop


async def test_small_work_is_done_at_once_and_large_work_by_one_thread() -> None:
    here = threading.get_ident()
    assert await beside_the_loop(LARGE - 1, threading.get_ident) == here
    others = {await beside_the_loop(LARGE, threading.get_ident) for _ in range(3)}
    assert len(others - {here}) == 1


async def test_an_error_of_large_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await beside_the_loop(LARGE, divmod, 1, 0)
