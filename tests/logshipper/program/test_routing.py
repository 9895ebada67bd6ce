"""Two sinks of one process that get different inputs: the page, the ledger and the positions stay true."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, metric, status
from tests.support import free_port, wait_until


def test_a_sink_that_is_down_holds_nothing_of_the_input_that_it_does_not_get(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port, audit = free_port(), Receiver()
    audit.mode = "503"
    variables = environ(
        tmp_path,
        port,
        LOGSHIPPER_APP_PATHS=f"{tmp_path}/logs/app.log*",
        LOGSHIPPER_ACCESS_PATHS=f"{tmp_path}/logs/access.log*",
        LOGSHIPPER_ALL_SINK=receiver.url,
        LOGSHIPPER_ALL_SINK_DROP="healthz",
        LOGSHIPPER_AUDIT_SINK=audit.url,
        LOGSHIPPER_AUDIT_INPUTS="access",
        LOGSHIPPER_DELETE_DELIVERED="true",
        LOGSHIPPER_ROTATE_WAIT="200ms",
    )
    del variables["LOGSHIPPER_PATHS"]
    app, access = tmp_path / "logs" / "app.log", tmp_path / "logs" / "access.log"
    append(app, "1\n")
    append(access, "GET /\nGET /healthz\n")
    program = start("logshipper", **variables)
    wait_until(lambda: sorted(receiver.messages()) == ["1", "GET /"], "the sink that is up has all but what it drops")
    app.rename(app.with_name("app.log.1"))
    access.rename(access.with_name("access.log.1"))
    wait_until(lambda: not app.with_name("app.log.1").exists(), "the file that the other sink does not get is deleted")
    assert access.with_name("access.log.1").exists()
    assert metric(port, 'logshipper_read_bytes_total{sink="audit"}') == 19
    assert metric(port, 'logshipper_pending_bytes{sink="audit"}') == 19
    assert metric(port, 'logshipper_dropped_bytes_total{reason="filtered",sink="all"}') == 13
    program.process.send_signal(signal.SIGKILL)
    program.process.wait()

    audit.mode = "ok"
    program = start("logshipper", **variables)
    wait_until(lambda: audit.messages() == ["GET /", "GET /healthz"], "the other sink has its lines")
    wait_until(lambda: not access.with_name("access.log.1").exists(), "now every sink has the file")
    assert sorted(receiver.messages()) == ["1", "GET /"]
    sinks = status(port)["sinks"]
    assert all(sink["balanced"] for sink in sinks.values())
    assert {file["file"] for file in sinks["audit"]["files"]} <= {str(access)}
    assert program.stop() == 0
    audit.close()
