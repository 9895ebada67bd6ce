"""gRPC's interop tests through the ambassador: each client to each server, of four implementations' libraries.

`peers` and the programs were proven with each other first, without an ambassador: what fails here is its fault.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ambassador.http2 import interop_client, peers
from tests.ambassador.support import Ambassador
from tests.conftest import Start

COMPRESSES = ("js", "server_compressed_unary")  # a server of grpc-js compresses all responses or none


@pytest.mark.parametrize("kind", ["ruby", "python", "go", "js"])
def test_the_cases_of_every_client_pass_through_to_every_server(start: Start, kind: str, tmp_path: Path) -> None:
    with peers.server(kind, tmp_path) as port:
        ambassador = Ambassador(start, f"h2c://127.0.0.1:{port}")
        with interop_client.channel(ambassador.port) as channel:
            for name, case in interop_client.CASES.items():
                if (kind, name) != COMPRESSES:
                    case(channel)
        if kind != "js":  # the Ruby client takes seconds, and has three servers
            assert "OK: timeout_on_sleeping_server" in peers.run_ruby_client(ambassador.port, *peers.RUBY_CASES)
        assert "timeout_on_sleeping_server" in peers.run_go_client(ambassador.port)
        assert "timeout_on_sleeping_server" in peers.run_js_client(ambassador.port)
    assert ambassador.metric("ambassador_defects_total") == 0


def test_a_client_that_compresses_is_passed_on_as_it_is(start: Start, tmp_path: Path) -> None:
    with peers.server("python", tmp_path) as port:
        ambassador = Ambassador(start, f"h2c://127.0.0.1:{port}")
        with interop_client.channel(ambassador.port) as channel:
            interop_client.client_compressed_unary(channel)
            interop_client.server_compressed_unary(channel)
            interop_client.special_status_message(channel)
