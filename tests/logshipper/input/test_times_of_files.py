"""What is known of the times in a file: it is in the saved state, and times are the same after a restart."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidecars.logshipper.model.times.written_times import rfc3339
from tests.logshipper.pod import Pod
from tests.logshipper.support import append

_FORM = {"LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_TIME_KEY": "t"}
_YEARLESS = {**_FORM, "LOGSHIPPER_TIME_FORMAT": "syslog"}
_BERLIN = {**_FORM, "LOGSHIPPER_TIME_ZONE": "Europe/Berlin"}


def write(pod: Pod, *texts: str) -> None:
    append(pod.log, "".join(f"{json.dumps({'t': text})}\n" for text in texts))


def times_of_next_batch(pod: Pod, *, accept: bool = True, room: int = 100_000) -> list[str]:
    """Return the times of the next batch."""
    in_flight = pod.send("default", pod.queues["default"].collect(room))
    if accept:
        pod.settle(in_flight)
    times = [time for records in in_flight.content.records for time in records.times or []]
    return [rfc3339(time) if time is not None else "-" for time in times]


def times_of_resent_batch(pod: Pod) -> list[str]:
    ((chunks, at),) = pod.queues["default"].resend()
    return [rfc3339(time) for records in pod.process(chunks, at) for time in records.times or [] if time]


@pytest.mark.parametrize("saved", [True, False])
async def test_a_second_pass_is_known_after_a_restart_and_after_kill_nine(
    tmp_path: Path,
    saved: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    pod = Pod(tmp_path, **_BERLIN)
    await pod.store.save()  # the journal begins
    write(pod, "2025-10-26 01:30:00", "2025-10-26 02:50:00", "2025-10-26 02:10:00")
    pod.look()
    assert times_of_next_batch(pod)[2:] == ["2025-10-26T01:10:00Z"]
    if saved:
        await pod.restart()
    else:
        pod.kill()
        pod.begin()
    write(pod, "2025-10-26 02:20:00", "2025-10-26 03:00:00")
    pod.look()
    assert times_of_next_batch(pod) == ["2025-10-26T01:20:00Z", "2025-10-26T02:00:00Z"]


async def test_a_batch_that_is_sent_again_has_the_times_of_the_first_attempt(tmp_path: Path) -> None:
    pod = Pod(tmp_path, **_BERLIN)
    await pod.store.save()  # the journal begins
    write(pod, "2025-10-26 01:30:00", "2025-10-26 02:50:00", "2025-10-26 02:10:00")
    pod.look()
    sent = times_of_next_batch(pod, accept=False)
    pod.kill()
    write(pod, "2025-10-26 02:20:00")
    pod.begin()
    assert times_of_resent_batch(pod) == sent


async def test_lines_of_an_old_file_are_of_the_year_in_which_it_was_modified(tmp_path: Path) -> None:
    pod = Pod(tmp_path, **_YEARLESS)
    await pod.store.save()  # the journal begins
    write(pod, "Dec 24 18:00:00", "Feb 29 10:00:00", "Mar  1 00:00:00")
    modified = datetime(2024, 12, 26, tzinfo=UTC).timestamp()
    os.utime(pod.log, (modified, modified))
    pod.look()
    expected = ["2024-12-24T18:00:00Z", "2024-02-29T10:00:00Z", "2024-03-01T00:00:00Z"]
    assert times_of_next_batch(pod, accept=False) == expected
    pod.kill()
    write(pod, "Jan  2 10:00:00")  # the file is modified now, and the lines from before are still of that year
    pod.begin()
    assert times_of_resent_batch(pod) == expected


async def test_lines_that_are_written_later_are_of_the_year_in_which_they_are_read(tmp_path: Path) -> None:
    pod = Pod(tmp_path, **_YEARLESS)
    await pod.store.save()  # the journal begins
    write(pod, "Dec 24 18:00:00")
    modified = datetime(2019, 12, 26, tzinfo=UTC).timestamp()
    os.utime(pod.log, (modified, modified))
    pod.look()
    assert times_of_next_batch(pod) == ["2019-12-24T18:00:00Z"]
    now = datetime.now(UTC)
    write(pod, f"{now:%b %d %H:%M:%S}")
    pod.look()
    assert times_of_next_batch(pod) == [f"{now:%Y-%m-%dT%H:%M:%S}Z"]
