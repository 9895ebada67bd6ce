"""Fixtures: the real program in front of a hostile app."""

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
    """Start the adapter for a target: `adapter(app.url, routes="/health=/metrics")`; waits until it is ready.

    The app has a minute for its answer, since a busy machine may be slow: a test of a time-out sets another.
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
    """An app with a path for everything that it can do wrong."""
    return {f"/{name.replace(' ', '-')}": behaviour for name, (behaviour, _, _) in FAILURES.items()}
