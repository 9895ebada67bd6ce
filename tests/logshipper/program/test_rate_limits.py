"""Rate limits of the program: what is dropped is counted, and a batch is the same after kill -9."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, metric, status
from tests.support import free_port, wait_until


def test_a_batch_without_what_the_limit_dropped_is_sent_again_after_kill_9_and_the_ledger_counts_the_rest(
    tmp_path: Path, start: Start, receiver: Receiver
) -> None:
    port = free_port()
    variables = environ(
        tmp_path,
        port,
        LOGSHIPPER_SINK=receiver.url,
        LOGSHIPPER_RATE_LIMIT="1/h",
        LOGSHIPPER_RATE_BURST="10",
        LOGSHIPPER_RATE_EXCESS="drop",
        LOGSHIPPER_SAMPLE="2",
        LOGSHIPPER_COUNT="all=/line/",
    )
    append(tmp_path / "logs" / "app.log", "".join(f"line {number}\n" for number in range(100)))
    receiver.mode = "lost"
    program = start("logshipper", **variables)
    wait_until(lambda: receiver.stored, "a batch has arrived, and its response is lost")
    program.kill()
    receiver.mode = ""
    before = len(receiver.stored)
    program = start("logshipper", **variables)
    wait_until(lambda: len(receiver.stored) > before, "the batch is sent again")
    assert receiver.stored[-1] == receiver.stored[0], "the same bytes under the same key"
    assert len(receiver.stored[0][1].splitlines()) == 10
    wait_until(lambda: metric(port, 'logshipper_pending_bytes{sink="default"}') == 0, "all is settled")
    dropped = 'logshipper_dropped_lines_total{{reason="{}",sink="default"}}'
    sampled, limited = metric(port, dropped.format("sampled")), metric(port, dropped.format("rate_limited"))
    assert (sampled + limited, sampled > 20, limited > 10) == (90, True, True)
    assert metric(port, 'logshipper_delivered_lines_total{sink="default"}') == 10
    assert metric(port, 'logshipper_matches_total{input="default",name="all"}') == 100
    assert status(port)["sinks"]["default"]["balanced"]
    assert program.stop() == 0
