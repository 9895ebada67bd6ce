"""The program ships unexpected lines of an app."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.hostile_lines import LINES
from tests.logshipper.receivers.forward import Forward
from tests.logshipper.receivers.otlp import Otlp
from tests.logshipper.support import environ, metric
from tests.support import free_port, wait_until


@pytest.mark.parametrize("kind", [Otlp, Forward])
def test_the_program_ships_hostile_lines_and_lives(tmp_path: Path, start: Start, kind: type[Otlp | Forward]) -> None:
    admin = free_port()
    with closing(kind()) as receiver:
        more = {"LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_TIME_KEY": "time", "LOGSHIPPER_LEVEL_KEY": "level"}
        variables = environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, **more)
        (tmp_path / "logs" / "app.log").write_bytes(b"\n".join([*LINES, b""]))
        shipper = start("logshipper", **variables)
        delivered = 'logshipper_delivered_lines_total{sink="default"}'
        shipper.wait_ready(admin)
        wait_until(lambda: metric(admin, delivered) == len(LINES), "every line")
        assert shipper.stop() == 0
