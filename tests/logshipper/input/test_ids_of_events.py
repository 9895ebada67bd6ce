"""The ids of events: no id stands for two texts, whatever was in the file when it was read, and what was lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.state.store import Store
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append, place_of
from tests.support import examples

TRACE = "10:00 ERROR failed\n\tat shop.Order.pay(Order.java:1)\n"


def shipped(pod: Pod) -> list[tuple[str, str]]:
    """Deliver everything. Return the id of each event, without its generation, and its text."""
    return [(ident.rpartition("-")[2], text) for ident, text in delivered(pod)]


def delivered(pod: Pod) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while chunks := pod.queues["default"].collect(100_000):
        in_flight = pod.send("default", chunks)
        found += of_batch(in_flight.content)
        pod.settle(in_flight)
        pod.check()
    return found


def of_batch(batch: Batch) -> list[tuple[str, str]]:
    return list(zip(batch.ids(), (body for records in batch.records for body in records.bodies), strict=True))


class Forgetful:
    """A pod whose state can be lost: nothing that was shipped is known any more, but the generations are."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.pod = Pod(folder, **variables)
        self._kept = folder / "kept"

    async def remember(self) -> None:
        await self.pod.store.save()
        shutil.copytree(self.pod.state_dir, self._kept)

    def restart(self) -> None:
        self.pod.kill()
        shutil.rmtree(self.pod.state_dir)
        shutil.copytree(self._kept, self.pod.state_dir)
        self.pod.begin()


async def test_a_piece_of_a_line_has_another_id_than_the_whole_line(tmp_path: Path) -> None:
    """A receiver that drops repeats by their ids would else drop the end of the line."""
    both = Forgetful(tmp_path)
    append(both.pod.log, "whole\nnot yet")
    both.pod.look()
    await both.remember()
    both.pod.follower.finish()
    assert shipped(both.pod) == [("0", "whole"), ("6+7", "not yet")]
    append(both.pod.log, " whole\n")
    both.restart()
    assert shipped(both.pod) == [("0", "whole"), ("6", "not yet whole")]


async def test_another_file_of_the_same_inode_that_begins_alike_gets_other_ids(tmp_path: Path) -> None:
    """The state failed after the first bytes of the first line: these are in it, and those of many logs."""
    both = Forgetful(tmp_path)
    append(both.pod.log, "2026-01-02 ")
    both.pod.look()
    await both.remember()
    append(both.pod.log, "one\n")
    both.pod.look()
    before = delivered(both.pod)
    os.truncate(both.pod.log, 0)  # by copytruncate
    append(both.pod.log, "2026-01-02 another\n")
    both.restart()
    after = delivered(both.pod)
    assert [text for _, text in before + after] == ["2026-01-02 one", "2026-01-02 another"]
    assert not dict(before).keys() & dict(after).keys()


async def test_a_short_file_keeps_its_id_while_its_first_batch_is_on_its_way(pod: Pod) -> None:
    append(pod.log, "short\n")
    pod.look()
    await pod.store.save()
    sent = pod.send("default", pod.queues["default"].collect(10_000)).content
    pod.kill()
    pod.begin()
    ((again, _),) = pod.queues["default"].resend()
    assert list(Batch("default", pod.process(again)).ids()) == list(sent.ids())


async def test_what_was_on_its_way_is_not_repeated_from_another_file_that_begins_alike(pod: Pod) -> None:
    """The file was first seen with a few bytes. What it has when it is sent is in the journal before the batch."""
    append(pod.log, "2026-01-02 ")
    pod.look()
    await pod.store.save()
    append(pod.log, "one\n")
    pod.look()
    pod.send("default", pod.queues["default"].collect(10_000))
    pod.kill()
    os.truncate(pod.log, 0)
    append(pod.log, "2026-01-02 two\n")
    pod.begin()
    assert pod.queues["default"].resend() == []


async def test_what_was_on_its_way_is_not_repeated_from_a_file_of_which_the_state_knows_too_little(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails for the entries of the file, and not for that of the batch."""
    append(pod.log, "2026-01-02 ")
    pod.look()
    await pod.store.save()
    append(pod.log, "one\n")
    pod.look()
    with monkeypatch.context() as failing:
        failing.setattr(Store, "record_file", lambda *_: None)
        pod.send("default", pod.queues["default"].collect(10_000))
    pod.kill()
    os.truncate(pod.log, 0)
    append(pod.log, "2026-01-02 two\n")
    pod.begin()
    assert pod.queues["default"].resend() == []


async def test_the_rest_of_a_line_follows_its_piece_after_a_restart(pod: Pod) -> None:
    append(pod.log, "not yet")
    pod.look()
    pod.follower.finish()
    assert shipped(pod) == [("0+7", "not yet")]
    await pod.restart()
    append(pod.log, " whole\n")
    pod.look()
    assert shipped(pod) == [("7", " whole")]


def test_the_pieces_of_a_line_that_is_too_long_have_their_sizes(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MAX_LINE_SIZE="1KiB")
    append(pod.log, "x" * 2500 + "\n")
    pod.look()
    assert [ident for ident, _ in shipped(pod)] == ["0+1024", "1024+1024", "2048"]


async def test_an_event_that_time_has_ended_has_another_id_than_the_one_with_all_its_lines(tmp_path: Path) -> None:
    both = Forgetful(tmp_path, LOGSHIPPER_MULTILINE="java", LOGSHIPPER_MULTILINE_TIMEOUT="5s")
    append(both.pod.log, TRACE * 2)
    both.pod.look()
    await both.remember()
    both.pod.look(6)
    first, second = TRACE[:-1], TRACE[:-1]
    assert shipped(both.pod) == [("0", first), (f"{len(TRACE)}+{len(TRACE)}", second)]
    append(both.pod.log, "\tat shop.Shop.main(Shop.java:2)\n10:01 INFO fine\n10:02 INFO fine\n")
    both.restart()
    got = shipped(both.pod)
    assert got[1] == (f"{len(TRACE)}", TRACE + "\tat shop.Shop.main(Shop.java:2)")
    assert got[2][1] == "10:01 INFO fine"


async def test_an_event_that_time_has_ended_is_repeated_under_its_id_after_a_kill(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_MULTILINE="java", LOGSHIPPER_MULTILINE_TIMEOUT="5s")
    append(pod.log, TRACE)
    pod.look()
    await pod.store.save()
    pod.look(6)
    sent = pod.send("default", pod.queues["default"].collect(10_000)).content
    assert list(sent.ids()) == [f"{sent.records[0].chunk.generation}-0+{len(TRACE)}"]
    pod.kill()
    append(pod.log, "\tat shop.Shop.main(Shop.java:2)\n10:01 INFO fine\n10:02 INFO fine\n")
    pod.begin()
    ((again, _),) = pod.queues["default"].resend()
    repeated = Batch("default", pod.process(again))
    assert (of_batch(repeated), repeated.key) == (of_batch(sent), sent.key)
    assert ndjson.encode(repeated) == ndjson.encode(sent)


LINES = {
    "java": ["10:00 ERROR failed\n", "\tat shop.Order\n", "Caused by: no\n", "\n", "\tat end\n"],
    "cri": [
        "2026-01-02T03:04:05.1Z stderr P be\n",
        "2026-01-02T03:04:05.2Z stdout P other\n",
        "2026-01-02T03:04:05.3Z stderr F gin\n",
        "2026-01-02T03:04:05.4Z stdout F  end\n",
        "2026-01-02T03:04:05.5Z stdout F \tat shop.Order\n",
        "in no format\n",
    ],
    "nuls": ["a line\n", "\0\0", "ü\n", "\0" * 40, "\r\n"],
}
FORMS = {
    "lines": ({}, LINES["nuls"]),
    "events": ({"MULTILINE": "java"}, LINES["java"]),
    "entries": ({"FORMAT": "cri"}, LINES["cri"]),
    "events of entries": ({"FORMAT": "cri", "MULTILINE": "java"}, LINES["cri"]),
    "small events": ({"MULTILINE": "indent", "MAX_LINE_SIZE": "1KiB"}, [*LINES["java"], "\t" + "x" * 500 + "\n"]),
    "long lines": ({"MAX_LINE_SIZE": "1KiB"}, ["ü" * 400, "\n", "x" * 1500 + "\r\n", "short\n"]),
    "events and holes": ({"MULTILINE": "java", "MAX_LINE_SIZE": "1KiB"}, [*LINES["java"], "\0\0", "\0" * 1100]),
}
_STEPS = st.lists(st.integers(1, 40) | st.sampled_from(["look", "wait", "end", "restart", "lose"]), max_size=14)


@pytest.mark.parametrize("form", FORMS)
@examples(8)
@given(st.data())
async def test_an_id_stands_for_one_text_whatever_was_read_when_and_whatever_the_state_forgets(
    form: str, data: st.DataObject
) -> None:
    variables, parts = FORMS[form]
    rest = "".join(data.draw(st.lists(st.sampled_from(parts), min_size=2, max_size=20))).encode()
    environ = {f"LOGSHIPPER_{name}": value for name, value in variables.items()}
    with tempfile.TemporaryDirectory() as folder:
        both = Forgetful(Path(folder), **environ)
        append(both.pod.log, f"10:00 begin {'x' * 60}\n")
        both.pod.look()
        await both.remember()
        texts: dict[str, str] = {}
        for step in [*data.draw(_STEPS), "look", "end"]:
            pod = both.pod
            match step:
                case int(count):
                    with pod.log.open("ab") as log:
                        log.write(rest[:count])
                    rest = rest[count:]
                    pod.look(0.1)
                case "look":
                    pod.look(0.1)
                case "wait":
                    pod.look(60)
                case "end":
                    pod.follower.finish()
                case "restart":
                    await pod.restart()
                case "lose":
                    both.restart()
            for ident, text in delivered(pod):
                assert texts.setdefault(ident, text) == text, (ident, step)
        both.pod.kill()
        assert len({place_of(ident)[0] for ident in texts}) == 1, "all are of one generation"


def test_a_file_that_one_listing_leaves_out_while_files_are_renamed_keeps_its_ids(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*")
    pod.log.write_text("one\n")
    pod.look()
    assert pod.ship() == ["one"]
    pod.rotate()
    pod.look()
    pod.look(ROTATE_WAIT + 1)

    rotated, aside = pod.logs / "app.log.1", tmp_path / "aside"
    rotated.rename(aside)  # the listing does not have it
    rotated.write_text("two\n")  # another file has its name by now
    pod.look()
    aside.rename(pod.logs / "app.log.2")
    pod.look()

    assert pod.ship() == ["two"]


def test_a_file_that_was_moved_out_of_the_globs_is_over_after_a_while(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/*.log*")
    pod.log.write_text("one\n")
    pod.look()
    assert pod.ship() == ["one"]
    pod.log.rename(tmp_path / "aside")
    pod.look()
    assert len(pod.follower.tails) == 1
    pod.look(ROTATE_WAIT + 1)

    assert not pod.follower.tails
