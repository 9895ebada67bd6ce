"""The real program from a log file to a receiver: records, the ledger, retries, and kill -9."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, lines_of, metric, status, wait_for
from tests.support import free_port, get, wait_until

PENDING = 'logshipper_pending_bytes{sink="default"}'


def test_lines_arrive_as_records_with_the_pod_and_an_id(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    append(tmp_path / "before.log", "")
    variables = environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url, POD_NAME="shop-1", POD_NAMESPACE="prod")
    append(tmp_path / "logs" / "app.log", "first\nsecond\r\n")
    program = start("logshipper", **variables)
    program.wait_ready(port)
    wait_for(receiver, "first", "second")
    first, second = receiver.records()
    generation = first["id"].removesuffix("-0")
    path = str(tmp_path / "logs" / "app.log")
    assert first == {
        "id": f"{generation}-0",
        "file": path,
        "pod": "shop-1",
        "namespace": "prod",
        "message": "first",
    }
    assert second["id"] == f"{generation}-6"
    assert program.stop() == 0


def test_the_ledger_is_in_metrics_and_status(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    program = start("logshipper", **environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url))
    append(tmp_path / "logs" / "app.log", "one\ntwo\nunfin")
    wait_for(receiver, "one", "two")
    wait_until(lambda: metric(port, PENDING) == 5, "only the unfinished line is pending")
    label = '{sink="default"}'
    assert metric(port, f"logshipper_read_bytes_total{label}") == 13
    assert metric(port, f"logshipper_delivered_bytes_total{label}") == 8
    assert metric(port, f"logshipper_delivered_lines_total{label}") == 2
    assert metric(port, f"logshipper_oldest_unacked_seconds{label}") == 0
    assert metric(port, 'logshipper_dropped_lines_total{reason="rejected",sink="default"}') == 0
    page = status(port)["sinks"]["default"]
    assert page["balanced"]
    assert page["files"][0]["position"] == 8
    assert program.stop() == 0


def test_a_sink_that_is_down_loses_nothing_and_delays_no_other(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port, dead = free_port(), free_port()
    variables = environ(
        tmp_path, port, LOGSHIPPER_UP_SINK=receiver.url, LOGSHIPPER_DOWN_SINK=f"http://127.0.0.1:{dead}/"
    )
    program = start("logshipper", **variables)
    log = tmp_path / "logs" / "app.log"
    append(log, "1\n")
    program.wait_ready(port)
    wait_for(receiver, "1")
    log.unlink()
    append(log, "2\n")
    wait_for(receiver, "1", "2")
    wait_until(lambda: metric(port, 'logshipper_oldest_unacked_seconds{sink="down"}') > 0, "its age is told")
    assert status(port)["sinks"]["down"]["trouble"]
    assert get(f"http://127.0.0.1:{port}/readyz").is_success, "a sink's outage is not the Pod's"
    late = Receiver(dead)
    try:
        wait_for(late, "1", "2")
        wait_until(lambda: metric(port, 'logshipper_pending_bytes{sink="down"}') == 0, "nothing is pending")
    finally:
        late.close()
    assert program.stop() == 0


def test_what_the_app_wrote_last_is_shipped_when_the_pod_ends(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    port = free_port()
    variables = environ(
        tmp_path, port, LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_SCAN_INTERVAL="1m", LOGSHIPPER_BATCH_TIMEOUT="1m"
    )
    program = start("logshipper", **variables)
    program.wait_ready(port)
    append(tmp_path / "logs" / "app.log", "".join(f"{number}\n" for number in range(100_000)) + "last wor")
    assert program.stop() == 0, program.stderr
    assert lines_of(receiver.records()).total() == 100_001
    assert receiver.records()[-1]["message"] == "last wor"
    assert receiver.records()[-1]["partial"] is True


def test_a_batch_whose_answer_was_lost_is_repeated_with_the_same_key_after_kill_nine(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    receiver.mode = "lost"
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_RETRY_MIN="1m")
    variables["LOGSHIPPER_RETRY_MAX"] = "1m"
    append(tmp_path / "logs" / "app.log", "1\n2\n")
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) == 1, "the batch arrived")
    program.kill()
    receiver.mode = "ok"
    append(tmp_path / "logs" / "app.log", "3\n")
    start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) == 3, "the repeat and the new line arrive")
    first, repeat, new = receiver.stored
    assert first == repeat
    assert new[0] != first[0]
    assert lines_of(receiver.records()) == {"1": 1, "2": 1, "3": 1}


def test_a_rejected_line_is_counted_and_the_rest_goes_on(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "poison:secret"
    port = free_port()
    program = start("logshipper", **environ(tmp_path, port, LOGSHIPPER_SINK=receiver.url))
    append(tmp_path / "logs" / "app.log", "secret\n")
    program.wait_logged("the sink refuses every line; they are kept")
    append(tmp_path / "logs" / "app.log", "good\n")
    wait_for(receiver, "good")
    program.wait_logged("lines were dropped")
    assert metric(port, 'logshipper_dropped_lines_total{reason="rejected",sink="default"}') == 1
    assert "secret" not in program.stderr, "no payload is ever logged"


def test_a_receiver_with_a_small_limit_gets_smaller_batches(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "limit:1000"
    lines = [f"line {number}" for number in range(200)]
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url)
    append(tmp_path / "logs" / "app.log", "\n".join([*lines, "x" * 2000, "after"]) + "\n")
    program = start("logshipper", **variables)
    wait_for(receiver, *lines, "after")
    assert program.wait_logged("lines were dropped")["reason"] == "it is too large for the receiver, even alone"


def test_stdout_gets_the_raw_lines(tmp_path: Path, start: Start) -> None:
    program = start("logshipper", **environ(tmp_path, free_port(), LOGSHIPPER_SINK="stdout:"))
    append(tmp_path / "logs" / "app.log", "as it\tis\n")
    wait_until(lambda: program.stdout == "as it\tis\n", "the line is on stdout")
    assert program.stop() == 0


def test_the_file_sink_has_every_line_exactly_once_through_kill_nine(tmp_path: Path, start: Start) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=f"file://{tmp_path}/out", LOGSHIPPER_BATCH_SIZE="4KiB")
    log, out = tmp_path / "logs" / "app.log", tmp_path / "out" / "logshipper.ndjson"
    append(log, "".join(f"{number} {'x' * 200}\n" for number in range(20_000)))
    size = 0
    for _ in range(4):
        program = start("logshipper", **variables)
        wait_until(lambda: out.exists() and out.stat().st_size > size, "it writes")  # noqa: B023 - called at once
        program.kill()
        size = out.stat().st_size
    program = start("logshipper", **variables)
    wait_until(lambda: b"19999 xxx" in out.read_bytes()[-500:], "the last line is there")
    assert program.stop() == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [int(record["message"].split()[0]) for record in records] == list(range(20_000))


def test_kill_nine_repeats_at_most_the_batch_on_its_way(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_BATCH_SIZE="4KiB")
    append(tmp_path / "logs" / "app.log", "".join(f"{number:099}\n" for number in range(20_000)))
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) > 20, "it ships")
    program.kill()
    start("logshipper", **variables)
    wait_until(lambda: f"{19_999:099}".encode() in receiver.stored[-1][1], "the last line arrives")
    assert lines_of(receiver.records()).total() == 20_000
    keys = [key for key, _ in receiver.stored]
    assert len(keys) - len(set(keys)) <= 1


def test_dead_letters_are_files_with_the_reason_and_the_id(tmp_path: Path, start: Start, receiver: Receiver) -> None:
    receiver.mode = "poison:bad"
    letters = tmp_path / "letters" / "default.ndjson"
    variables = environ(tmp_path, free_port(), LOGSHIPPER_SINK=receiver.url, LOGSHIPPER_ON_REJECT=f"{tmp_path}/letters")
    append(tmp_path / "logs" / "app.log", "bad 1\nbad 2\n3\n")
    program = start("logshipper", **variables)
    program.wait_logged("lines were rejected")
    wait_for(receiver, "3")
    wait_until(lambda: letters.read_text().count("\n") == 2, "both letters")
    found = [json.loads(line) for line in letters.read_text().splitlines()]
    first, second = sorted(found, key=lambda letter: str(letter["message"]))
    assert (first["message"], second["message"]) == ("bad 1", "bad 2")
    assert first["sink"] == "default"
    assert "400" in first["reason"]
    assert receiver.records()[0]["id"].split("-")[0] == first["id"].split("-")[0]
    assert program.stop() == 0
