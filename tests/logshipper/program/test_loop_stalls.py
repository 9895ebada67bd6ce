"""No log lines stop the logshipper's event loop."""

from __future__ import annotations

from pathlib import Path

from tests.largest_inputs import EVERYTHING, accepted, java, logshipper
from tests.loop_reports import LIMIT


def test_a_batch_stops_no_probe_while_its_records_are_made_and_encoded(tmp_path: Path) -> None:
    case = ("lines, multiline, redaction", java(1500), "http", accepted, EVERYTHING)
    ((name, stall),) = logshipper(tmp_path, [case], rounds=2, files=0)
    assert stall.turn <= LIMIT, (name, stall)
