"""What no setting asks for is not loaded: neither by a start with a plain sink, nor by `--check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.logshipper.support import Receiver, environ
from tests.support import free_port

START = """
import sys
from sidecars.chassis.config.settings import load
from sidecars.logshipper.settings import Settings
settings = load(Settings, {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "http://127.0.0.1:9/x"})
"""
CHECK = START + "from sidecars.logshipper.memory import ledger; ledger(settings)\n"
SERVICE = START + (
    "from sidecars.logshipper import app; from sidecars.logshipper.sinks.over_http import http\n"
    "app.Pipeline(settings.inputs['default'], {})\n"
)
OF_FEW = (
    "re2",
    "msgspec",
    "redactor",
    "trace_splitter",
    "time_zones",
    "field_paths",
    "decompression",
    "kafka",
    "live_tail",
)


@pytest.mark.parametrize(("program", "unwanted"), [(CHECK, ("asyncio", "h11", *OF_FEW)), (SERVICE, OF_FEW)])
def test_what_no_setting_asks_for_is_not_loaded(program: str, unwanted: tuple[str, ...]) -> None:
    shown = "print(*{name.rpartition('.')[2] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program + shown], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(unwanted)
    assert "sink_registry" in done.stdout


@pytest.mark.parametrize(("setting", "expected"), [("auto", True), ("ignore", False)])
def test_what_reads_compressed_files_is_loaded_before_the_first_one(
    tmp_path: Path, start: Start, receiver: Receiver, setting: str, *, expected: bool
) -> None:
    """Later the limit of descriptors may be reached, and then no module can be loaded."""
    admin = free_port()
    shipper = start(
        "logshipper", **environ(tmp_path, admin, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_COMPRESSED=setting)
    )
    shipper.wait_ready(admin)
    assert ("zstd" in Path(f"/proc/{shipper.process.pid}/maps").read_text()) is expected
