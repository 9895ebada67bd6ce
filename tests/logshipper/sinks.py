"""A sink as a user makes one: from its variables."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from chassis.settings import load
from sidecars.logshipper import sinks
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Delivery
from tests.support import PATIENCE


def create(url: str, environ: Mapping[str, str] | None = None, /, **settings: str) -> Delivery:
    """`settings` are named without their prefix; `environ` is taken as it is."""
    ours = {f"LOGSHIPPER_{name.upper()}": value for name, value in settings.items()}
    loaded = load(
        Settings,
        {
            "LOGSHIPPER_PATHS": "/logs/*.log",
            "LOGSHIPPER_SINK": url,
            "LOGSHIPPER_REQUEST_TIMEOUT": "5s",
            **ours,
            **(environ or {}),
        },
    )
    return sinks.create(loaded, loaded.sinks["default"])


@contextlib.asynccontextmanager
async def opened(url: str, environ: Mapping[str, str] | None = None, /, **settings: str) -> AsyncIterator[Any]:
    sink = create(url, environ, **settings)
    await sink.open(None)
    try:
        yield sink
    finally:
        await sink.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another thread or process has to do it
            await asyncio.sleep(0.01)
