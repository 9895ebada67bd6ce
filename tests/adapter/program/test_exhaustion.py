"""The adapter without a free descriptor: a prober whose connection is reset would take the app for dead."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.adapter.support import Adapter, App, page
from tests.conftest import Start
from tests.support import PATIENCE, free_port

FILES = 64


def test_a_probe_is_answered_although_idle_connections_hold_every_descriptor(start: Start) -> None:
    with App({"/metrics": page()}) as app, ExitStack() as stack:
        port, admin = free_port(), free_port()
        program = start(
            "tests.limited",
            "adapter",
            OPEN_FILES=str(FILES),
            ADAPTER_LISTEN=f"127.0.0.1:{port}",
            ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            ADAPTER_TARGET=app.url,
            ADAPTER_TIMEOUT="1m",
        )
        program.wait_ready(admin)
        adapter = Adapter(program, port, admin)
        for _ in range(2 * FILES):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        assert adapter.get("/health").is_success, "not reset: it waits until the oldest idle connection is closed"
        assert adapter.metric("sidecar_resource_exhausted_total", resource="descriptors")
