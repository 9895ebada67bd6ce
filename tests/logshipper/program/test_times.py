"""The program reads times in a zone, although it may open no file of zone data any more, and counts what has none."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, metric, status
from tests.support import free_port, wait_until


def test_zones_of_names_and_of_tz_are_known_to_a_confined_process(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port = free_port()
    variables = environ(
        tmp_path,
        port,
        LOGSHIPPER_SINK=receiver.url,
        LOGSHIPPER_FORMAT="json",
        LOGSHIPPER_TIME_KEY="t",
        LOGSHIPPER_TIME_ZONE="Asia/Kathmandu",
        LOGSHIPPER_APP_PATHS=f"{tmp_path}/logs/app.log",
        LOGSHIPPER_OLD_PATHS=f"{tmp_path}/logs/old.log",
        LOGSHIPPER_OLD_TIME_ZONE="local",
        LOGSHIPPER_OLD_ENCODING="auto",
        LOGSHIPPER_OLD_MESSAGE_KEY="msg",
        TZ="America/St_Johns",
    )
    del variables["LOGSHIPPER_PATHS"]
    lines = [{"t": "2026-07-01 12:00:00", "msg": "ü"}, {"t": "soon", "n": 1}]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    append(tmp_path / "logs" / "app.log", text)
    (tmp_path / "logs" / "old.log").write_bytes(text.encode("utf-16"))
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.records()) == 4, "all four events have come")
    times = {record["file"].rpartition("/")[2]: record["time"] for record in receiver.records() if "time" in record}
    assert times == {"app.log": "2026-07-01T06:15:00Z", "old.log": "2026-07-01T14:30:00Z"}
    assert [record["message"] for record in receiver.records() if "message" in record] == ["ü"]
    assert metric(port, 'logshipper_unparsed_events_total{input="app",part="time"}') == 1
    assert metric(port, 'logshipper_unparsed_events_total{input="old",part="message"}') == 1
    assert "input old: no time was found in 1 event" in status(port)["unparsed"]
    wait_until(lambda: metric(port, 'logshipper_pending_bytes{sink="default"}') == 0, "all is settled")
    assert status(port)["sinks"]["default"]["balanced"]
    assert program.stop() == 0
