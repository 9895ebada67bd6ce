"""INPUTS: which sink gets the lines of which input, and what becomes of a file that a sink does not get."""

from __future__ import annotations

from pathlib import Path

from sidecars.logshipper.delivery.in_flight import InFlightBatch
from sidecars.logshipper.model.ledger import FILTERED
from sidecars.logshipper.transform.sink_filter import SinkFilter
from tests.logshipper.pipelines import records_of
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append


def routed(folder: Path, **more: str) -> Pod:
    """Two inputs and two sinks: `audit` gets the access log alone, `loki` gets both."""
    logs = folder / "logs"
    environ = {
        "LOGSHIPPER_PATHS": "",
        "LOGSHIPPER_SINK": "",
        "LOGSHIPPER_APP_PATHS": f"{logs}/app.log*",
        "LOGSHIPPER_ACCESS_PATHS": f"{logs}/access.log*",
        "LOGSHIPPER_LOKI_SINK": "stdout:",
        "LOGSHIPPER_AUDIT_SINK": f"file://{folder}/audit",
        "LOGSHIPPER_AUDIT_INPUTS": "access",
    }
    return Pod(folder, "audit", "loki", **{**environ, **more})


def test_a_sink_gets_the_lines_of_its_inputs_alone(tmp_path: Path) -> None:
    pod = routed(tmp_path)
    append(pod.log, "app\n")
    append(pod.logs / "access.log", "GET /\n")
    pod.look()
    assert pod.ship("audit") == ["GET /"]
    assert sorted(pod.ship("loki")) == ["GET /", "app"]


def test_a_sink_has_no_account_and_nothing_pending_of_a_file_that_it_does_not_get(tmp_path: Path) -> None:
    pod = routed(tmp_path)
    append(pod.log, "app\n")
    pod.look()
    (tail,) = pod.follower.tails.values()
    assert (tail.pending("audit"), tail.unread("audit"), tail.has_event_for("audit")) == (0, 0, False)
    assert pod.queues["audit"].waiting(100) == pod.queues["audit"].unsettled() == 0
    assert pod.queues["audit"].oldest() is None
    assert pod.ledgers["audit"].files == {}
    assert pod.ledgers["audit"].total.read == 0
    assert pod.ledgers["loki"].total.read == 4


def test_a_rotated_file_is_deleted_when_the_sinks_that_get_it_have_it(tmp_path: Path) -> None:
    pod = routed(tmp_path)
    pod.kill()
    pod.delete = True
    pod.begin()
    append(pod.log, "app\n")
    pod.look()
    pod.ship("loki")
    pod.rotate()
    pod.look()
    pod.look(later=ROTATE_WAIT)
    assert not (pod.logs / "app.log.1").exists()


async def test_an_input_that_a_sink_gets_later_begins_at_start_at(tmp_path: Path) -> None:
    pod = routed(tmp_path, LOGSHIPPER_APP_START_AT="end", LOGSHIPPER_ACCESS_START_AT="beginning")
    pod.look()
    append(pod.log, "1\n")
    append(pod.logs / "access.log", "GET /1\n")
    pod.look()
    assert sorted(pod.ship("loki")) == ["1", "GET /1"]
    pod.environ |= {"LOGSHIPPER_AUDIT_INPUTS": "access,app"}
    await pod.restart()
    append(pod.log, "2\n")
    pod.look()
    assert sorted(pod.ship("audit")) == ["2", "GET /1"]
    assert pod.ship("loki") == ["2"]


async def test_an_input_that_a_sink_gets_no_more_leaves_no_position_and_no_batch(tmp_path: Path) -> None:
    pod = routed(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    await pod.store.save()
    pod.send("loki", pod.queues["loki"].collect(100))
    pod.environ |= {"LOGSHIPPER_LOKI_INPUTS": "access", "LOGSHIPPER_AUDIT_INPUTS": "app,access"}
    pod.kill()
    pod.begin()
    pod.look()
    assert pod.queues["loki"].resend() == []
    (tail,) = pod.follower.tails.values()
    assert tail.state.positions.keys() == {"audit"}
    assert pod.ship("loki") == []
    assert pod.ship("audit") == ["1"]
    assert tail.settled()


async def test_a_file_that_gets_the_name_of_another_input_keeps_its_sinks_until_the_next_start(tmp_path: Path) -> None:
    pod = routed(tmp_path)
    append(pod.log, "1\n")
    pod.look()
    assert pod.ship("loki") == ["1"]
    pod.log.rename(pod.logs / "access.log")
    append(pod.logs / "access.log", "2\n")
    pod.look()
    assert (pod.ship("audit"), pod.ship("loki")) == ([], ["2"])
    await pod.restart()
    pod.look()
    assert (pod.ship("audit"), pod.ship("loki")) == (["1", "2"], [])


async def test_a_file_that_another_input_finds_after_a_restart_goes_to_the_sinks_of_both(tmp_path: Path) -> None:
    """The saved file may be another one with the same inode, or have a new name: nobody may miss its lines."""
    pod = routed(tmp_path, LOGSHIPPER_LOKI_INPUTS="app")
    append(pod.logs / "access.log", "GET /1\n")
    pod.look()
    await pod.store.save()
    pod.kill()
    (pod.logs / "access.log").rename(pod.log)
    append(pod.log, "2\n")
    pod.begin()
    pod.look()
    assert pod.ship("audit") == ["GET /1", "2"]
    assert pod.ship("loki") == ["GET /1", "2"]
    (tail,) = pod.follower.tails.values()
    assert tail.settled()
    pod.check()


# -- a filter of the sink ----------------------------------------------------------------------------------------------


def test_the_filter_of_a_sink_drops_and_counts_for_it_alone_and_changes_no_id() -> None:
    records = records_of(b"a 1\nDEBUG b\nc 2\nDEBUG 3\n")
    kept = SinkFilter(r"\d", "^DEBUG").apply(records)
    assert kept.bodies == ["a 1", "c 2"]
    assert kept.dropped == {FILTERED: (16, 2)}
    assert [*kept.offsets] == [0, 12]
    assert records.dropped == {}
    assert SinkFilter(None, None).apply(records) is records
    assert SinkFilter("a|b|c|3", None).apply(records) is records


def test_what_the_input_and_the_sink_drop_is_counted_together(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_DROP="^TRACE")
    append(pod.log, "TRACE 1\nDEBUG 2\nINFO 3\n")
    pod.look()
    chunks = pod.queues["default"].collect(1000)
    at = pod.queues["default"].sending(chunks)
    records = tuple(map(SinkFilter(None, "^DEBUG").apply, pod.process(chunks)))
    batch = InFlightBatch("default", chunks, records, at=at)
    pod.settle(batch)
    pod.check()
    assert pod.dropped() == {FILTERED: 16}
    assert pod.ledgers["default"].total.lines == 1
