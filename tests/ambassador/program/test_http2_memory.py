"""Hundreds of connections of HTTP/2 from a hostile app: memory has the maximum that `--check` prints."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.ambassador.http2 import raw
from tests.ambassador.support import Ambassador, answering, backends
from tests.chassis.program.test_memory_ledger import peak
from tests.conftest import Start
from tests.repo.test_memory_ledgers import ledger_of
from tests.support import get, wait_until

CONNECTIONS = 250
STREAMS = 80
SETTINGS = {
    "BUFFER_MEMORY": "8MiB",
    "MAX_CONNECTIONS": str(CONNECTIONS + 16),
}  # the places that are left carry the streams
REQUEST = bytes((0x82, 0x86, 0x84, 0x01, 1)) + b"a"  # GET http://a/
SIZE = 1024 * 1024


def names(count: int) -> list[bytes]:
    return [b"%c%c" % (97 + number % 26, 97 + number // 26) for number in range(count)]


def inserted() -> list[bytes]:
    """Return the blocks of requests whose fields fill HPACK's table with as many objects as it holds."""
    fields = [b"\x40" + raw.text(name) + raw.text(b"00") for name in names(113)]
    return [REQUEST + b"".join(fields[:60]), REQUEST + b"".join(fields[60:])]


def not_inserted() -> list[bytes]:
    """Return the blocks of requests with as many small fields as fit: Age, whose name needs no byte."""
    return [
        REQUEST + b"".join(bytes((0x0F, 6)) + raw.text(name) for name in names(48 + number)[number:])
        for number in range(16)
    ]


def connect(stack: contextlib.ExitStack, ambassador: Ambassador) -> socket.socket:
    app = stack.enter_context(socket.create_connection(("127.0.0.1", ambassador.port)))
    app.settimeout(raw.PATIENCE)
    return app


def environ_of(url: str) -> dict[str, str]:
    return {"AMBASSADOR_UPSTREAM": url, **{f"AMBASSADOR_{name}": value for name, value in SETTINGS.items()}}


@pytest.mark.parametrize(
    "blocks", [inserted(), not_inserted()], ids=["inserted fields", "fields that are not inserted"]
)
def test_heads_of_many_small_fields_take_no_more_than_the_ledger_says(start: Start, blocks: list[bytes]) -> None:
    with backends(answering()) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url, **SETTINGS)
        apps = [stack.enter_context(raw.Connection.to(ambassador.port)) for _ in range(CONNECTIONS)]
        for app in apps:
            app.send(*(raw.headers(2 * number + 1, block) for number, block in enumerate(blocks)))
        # All heads are decoded then. Some are refused: so many streams at once may be more than MAX_CONNECTIONS.
        assert all(app.round_trip() for app in apps)
        assert peak(ambassador.program) <= ledger_of("ambassador", environ_of(backend.url)).total


def test_responses_that_no_stream_takes_stay_within_the_buffer_memory_and_a_small_read_of_each(start: Start) -> None:
    with backends(answering(bytes(SIZE))) as (backend,), contextlib.ExitStack() as stack:
        ambassador = Ambassador(start, backend.url, **SETTINGS)
        apps = [connect(stack, ambassador) for _ in range(4)]
        for app in apps:
            requests = [raw.headers(2 * number + 1, REQUEST) for number in range(STREAMS)]
            app.sendall(raw.PREFACE + raw.frame(raw.SETTINGS) + b"".join(requests))
        wait_until(lambda: ambassador.metric("ambassador_buffer_short") == 1.0, "memory is short")
        wait_until(lambda: backend.connections >= 4 * STREAMS, "all requests are at the backend")
        seen: list[int] = []

        def is_at_rest() -> bool:
            seen.append(get(f"http://127.0.0.1:{ambassador.admin}/status").json()["buffers"]["held"])
            return len(seen) > 3 and len(set(seen[-3:])) == 1

        wait_until(is_at_rest, "nothing is read any more")
        assert seen[-1] <= 8 * 1024 * 1024 + 4 * STREAMS * 4096
        assert peak(ambassador.program) <= ledger_of("ambassador", environ_of(backend.url)).total
