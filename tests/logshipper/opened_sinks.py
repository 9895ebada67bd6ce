"""Sinks that are made from variables, as a user makes them, and helpers for tests over the network."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import trustme

from sidecars.chassis.config.settings import load
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Sink
from sidecars.logshipper.sinks.factory import create_sink
from tests.support import PATIENCE


def loaded(url: str, environ: Mapping[str, str] | None = None, /, **settings: str) -> Settings:
    """Return the settings of a sink. `settings` are named without their prefix; `environ` has whole names."""
    ours = {f"LOGSHIPPER_{name.upper()}": value for name, value in settings.items()}
    return load(
        Settings,
        {
            "LOGSHIPPER_PATHS": "/logs/*.log",
            "LOGSHIPPER_SINK": url,
            "LOGSHIPPER_REQUEST_TIMEOUT": "5s",
            **ours,
            **(environ or {}),
        },
    )


def create(url: str, environ: Mapping[str, str] | None = None, /, **settings: str) -> Sink:
    """Return the sink of these settings."""
    found = loaded(url, environ, **settings)
    return create_sink(found, found.sinks["default"])


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
        while not condition():  # noqa: ASYNC110 - another thread or process makes it true
            await asyncio.sleep(0.01)


def an_authority(folder: Path) -> tuple[str, ssl.SSLContext]:
    """Return the file of a new authority, and a receiver's TLS context with its certificate for localhost."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return str(folder / "ca.crt"), context
