"""Fixtures: the adapter as a process, and an app that fails in every way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.adapter.failures import FAILURES
from tests.adapter.support import Adapter, Behaviour
from tests.conftest import Start
from tests.support import free_port

StartAdapter = Callable[..., Adapter]


@pytest.fixture
def adapter(start: Start) -> StartAdapter:
    """Start the adapter for a target, and wait until it is ready: `adapter(app.url, routes="/health=/metrics")`.

    The app has a minute for its response, since a busy machine may be slow. A test of the time-out sets another.
    """

    def begin(target: str, routes: str = "/health=/metrics", **environ: str) -> Adapter:
        port, admin = free_port(), free_port()
        given = {
            "ADAPTER_LISTEN": f"127.0.0.1:{port}",
            "ADAPTER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "ADAPTER_TARGET": target,
            "ADAPTER_ROUTES": routes,
            "ADAPTER_TIMEOUT": "1m",
        }
        program = start("adapter", **{**given, **environ})
        program.wait_ready(admin)
        return Adapter(program, port, admin)

    return begin


@pytest.fixture
def failing() -> dict[str, Behaviour]:
    """The behaviours of an app with one path for each failure in `FAILURES`."""
    return {f"/{name.replace(' ', '-')}": behaviour for name, (behaviour, _, _) in FAILURES.items()}
