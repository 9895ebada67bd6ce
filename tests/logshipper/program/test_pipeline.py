"""The program transforms events while it ships them, and its ledger stays right."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, metric, place_of, status
from tests.support import free_port, wait_until

TRACE = "10:00 ERROR it failed for bob@example.com\njava.lang.Error: no\n\tat a.B.c(B.java:1)\n"


def test_inputs_are_shaped_each_in_its_own_way_and_the_ledger_counts_what_was_filtered(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port = free_port()
    variables = environ(
        tmp_path,
        port,
        LOGSHIPPER_SINK=receiver.url,
        LOGSHIPPER_APP_PATHS=f"{tmp_path}/logs/app.log",
        LOGSHIPPER_APP_MULTILINE="java",
        LOGSHIPPER_APP_MULTILINE_TIMEOUT="200ms",
        LOGSHIPPER_ACCESS_PATHS=f"{tmp_path}/logs/access.log",
        LOGSHIPPER_ACCESS_FORMAT="json",
        LOGSHIPPER_ACCESS_LABELS="kind=access",
        LOGSHIPPER_REDACT="email",
        LOGSHIPPER_DROP="healthz",
        LOGSHIPPER_COUNT=r"errors=/\bERROR\b/,paths=/(?P<path>\/\w+)/",
    )
    del variables["LOGSHIPPER_PATHS"]
    append(tmp_path / "logs" / "app.log", TRACE + "10:01 INFO fine\n10:01 GET /healthz\n  ok\n")
    append(tmp_path / "logs" / "access.log", '{"user":"x@y.org","n":1}\n{"path":"/healthz"}\n')
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.records()) == 3, "three events are left")
    app = [record for record in receiver.records() if record["file"].endswith("app.log")]
    assert [record["message"] for record in app] == [
        TRACE[:-1].replace("bob@example.com", "[email]"),
        "10:01 INFO fine",
    ]
    (access,) = (record for record in receiver.records() if record not in app)
    assert (access["user"], access["n"], access["kind"]) == ("[email]", 1, "access")
    wait_until(lambda: metric(port, 'logshipper_pending_bytes{sink="default"}') == 0, "all is settled")
    assert metric(port, 'logshipper_dropped_lines_total{reason="filtered",sink="default"}') == 3
    assert metric(port, 'logshipper_delivered_lines_total{sink="default"}') == 5
    assert metric(port, 'logshipper_matches_total{input="app",name="errors"}') == 1
    assert metric(port, 'logshipper_matches_total{input="access",name="errors"}') == 0
    assert metric(port, 'logshipper_matches_total{input="app",name="paths",path="/healthz"}') == 1
    assert status(port)["sinks"]["default"]["balanced"]
    assert program.stop() == 0


def test_lines_that_come_after_the_timeout_are_an_event_of_their_own_and_none_is_lost_by_kill_9(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    log, port = tmp_path / "logs" / "app.log", free_port()
    variables = environ(
        tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_MULTILINE="java", LOGSHIPPER_MULTILINE_TIMEOUT="100ms"
    )
    program = start("logshipper", **variables)
    append(log, "10:00 ERROR it failed\n\tat a\n")
    wait_until(lambda: receiver.messages() == ["10:00 ERROR it failed\n\tat a"], "the event is over after a while")
    append(log, "\tat b\n\tat c\n")
    wait_until(lambda: "\tat b\n\tat c" in receiver.messages(), "the rest comes by itself")
    receiver.mode = "503"
    append(log, "10:01 ERROR again\n\tat d\n")
    wait_until(lambda: metric(port, 'logshipper_batches_total{outcome="retried",sink="default"}') > 0, "it is refused")
    program.process.send_signal(signal.SIGKILL)
    program.process.wait()
    append(log, "\tat e\n10:02 INFO fine\n")
    receiver.mode = "ok"
    program = start("logshipper", **variables)
    wait_until(lambda: "10:02 INFO fine" in receiver.messages(), "the last event arrives")
    by_id = {record["id"]: record["message"] for record in receiver.records()}
    text = "\n".join(by_id[ident] for ident in sorted(by_id, key=place_of)) + "\n"
    assert text == log.read_text()
    assert program.stop() == 0


def test_dead_letters_are_redacted_like_everything_else(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "poison:[password]"
    letters = tmp_path / "letters"
    variables = environ(
        tmp_path,
        free_port(),
        LOGSHIPPER_SINK=receiver.url,
        LOGSHIPPER_REDACT="secrets",
        LOGSHIPPER_ON_REJECT=str(letters),
    )
    append(tmp_path / "logs" / "app.log", "password=hunter2\nanother\n")
    program = start("logshipper", **variables)
    wait_until(lambda: any(path.read_bytes().endswith(b"\n") for path in letters.glob("*.ndjson")), "it is put aside")
    (letter,) = (json.loads(line) for path in letters.glob("*.ndjson") for line in path.read_text().splitlines())
    assert letter["message"] == "password=[password]"
    assert program.stop() == 0
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log"]
    assert not any(b"hunter2" in path.read_bytes() for path in kept)
