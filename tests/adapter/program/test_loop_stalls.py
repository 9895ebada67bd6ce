"""No response of an app stops the adapter's event loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.largest_inputs import ADAPTER, AppCase, adapter
from tests.loop_reports import LIMIT

CHEAP = ["five rules, 8,000 series", "11,000 families", "health JSON, 4,000 components", "Kubernetes lines"]


@pytest.mark.parametrize("case", [case for case in ADAPTER if case.name in CHEAP], ids=lambda case: case.name)
def test_a_page_stops_no_other_probe(case: AppCase, tmp_path: Path) -> None:
    ((name, stall),) = adapter(tmp_path, [case])
    assert stall.turn <= LIMIT, (name, stall)
