"""The program with two Splunk indexers behind a balancer: one is killed before it has indexed what it took."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.conftest import Start
from tests.logshipper.receivers.splunk import TOKEN, Balancer, Splunk
from tests.logshipper.support import append, environ, metric
from tests.support import free_port, wait_until


def test_no_line_is_missing_when_an_indexer_dies_with_events_that_it_had_taken(tmp_path: Path, start: Start) -> None:
    """Every connection goes to the next indexer. The first one takes events, indexes none, and dies."""
    admin = free_port()
    with closing(Splunk()) as first, closing(Splunk()) as second, closing(Balancer(first, second)) as balancer:
        first.holds = second.holds = True
        more = {
            "LOGSHIPPER_SINK": balancer.url,
            "LOGSHIPPER_SINK_TOKEN": TOKEN,
            "LOGSHIPPER_SINK_ACK": "required",
            "LOGSHIPPER_BATCH_SIZE": "4KiB",
            "LOGSHIPPER_RETRY_MAX": "20ms",
        }
        lines = [f"line {number} {'x' * 40}" for number in range(1000)]
        settings = environ(tmp_path, admin, **more)
        append(tmp_path / "logs" / "app.log", "".join(f"{line}\n" for line in lines))
        shipper = start("logshipper", **settings)
        wait_until(lambda: first.taken and second.taken, "events at both")
        wait_until(lambda: sum(number == 0 for _, number, _ in first.asked + second.asked) > 4, "questions at both")
        balancer.kill(first)
        second.holds = False
        second.index()
        wait_until(lambda: metric(admin, 'logshipper_pending_bytes{sink="default"}') == 0, "all of it")
        assert shipper.stop() == 0
    assert not first.events
    texts = Counter(event.text for event in second.events)
    assert set(texts) == set(lines), "0 missing, although the first indexer had taken some"
    ids = {event.text: event.fields["id"] for event in second.events}
    assert all(event.fields["id"] == ids[event.text] for event in second.events), "repeats have the id of the first"
    mine = {channel for channel, _, known in second.asked if known}
    assert mine <= set(second.channels), "each yes is of the indexer that has the events"
