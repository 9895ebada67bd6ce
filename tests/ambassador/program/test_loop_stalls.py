"""Nothing stops the ambassador's event loop: no large head, no small chunk, no new address, and no look at the page."""

from __future__ import annotations

from pathlib import Path

from tests.largest_inputs import AMBASSADOR, ambassador
from tests.loop_reports import LIMIT


def test_a_request_new_addresses_or_a_look_at_the_page_stop_no_other_connection(tmp_path: Path) -> None:
    found = dict(ambassador(tmp_path, AMBASSADOR, rounds=2, addresses=200))
    assert len(found) == len(AMBASSADOR) + 2
    assert {name: stall for name, stall in found.items() if stall.turn > LIMIT} == {}
