"""No request stops the ambassador's event loop: neither a large head, nor one byte by byte, nor very small chunks."""

from __future__ import annotations

from pathlib import Path

from tests.largest_inputs import AMBASSADOR, ambassador
from tests.loop_reports import LIMIT


def test_a_request_or_new_addresses_stop_no_other_connection(tmp_path: Path) -> None:
    found = dict(ambassador(tmp_path, AMBASSADOR, rounds=2, addresses=200))
    assert len(found) == len(AMBASSADOR) + 1
    assert {name: stall for name, stall in found.items() if stall.turn > LIMIT} == {}
