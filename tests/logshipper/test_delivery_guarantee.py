"""A model-based test of the delivery guarantee: an app, its rotations, crashes of logshipper, and sinks that fail.

Hypothesis chooses the steps. After each step the ledger is balanced. At the end every line was accepted or rejected by
every sink, exactly once after repeats are dropped by their ids. The lines that the second sink rejected are in its dead
letters.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import Health
from sidecars.logshipper.delivery.shipper import Shipper
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.line_cutting import Ending
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import BatchRefused, BatchTooLarge, Outcome, RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.state import checkpoint
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.state.snapshots import write_snapshot
from tests.logshipper.support import lines_of
from tests.support import examples

SINKS = ("counted", "kept")
RESPONSES = ("yes", "no", "lost", "again", "reject some", "reject all", "too large", "hang")


class Moody:
    """A sink with chosen responses; after those it accepts everything. It keeps the accepted and the rejected
    records.
    """

    max_in_flight = 64

    def __init__(self) -> None:
        self.responses: list[str] = []
        self.taken: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.hangs = asyncio.Event()

    async def open(self, receipt: Any) -> Any:
        return receipt

    async def deliver(self, batch: Batch) -> Outcome:
        records = [json.loads(line) for line in b"".join(ndjson.encode(batch)).splitlines()]
        odd = [index for index in range(batch.events) if index % 2]
        match self.responses.pop(0) if self.responses else "yes":
            case "no":
                raise RetryLater("not now")
            case "lost":
                self.taken += records
                raise RetryLater("the response was lost")
            case "again":
                self.taken += records[::2]
                return Outcome(retry=odd, retry_reason="busy")
            case "reject some":
                self.taken += records[::2]
                self.refused += records[1::2]
                return Outcome(rejected=[(index, "bad") for index in odd])
            case "reject all":
                self.refused += records if batch.events == 1 else []  # of several events, each may be accepted later
                raise BatchRefused("bad")
            case "too large" if batch.events > 1:
                raise BatchTooLarge
            case "hang":
                self.hangs.set()
                await asyncio.Event().wait()
        self.taken += records
        return Outcome()

    async def close(self) -> None:
        pass


class LogShipping(RuleBasedStateMachine):
    @initialize(
        inside=st.booleans(),
        limit=st.sampled_from(["1KiB", "1MiB"]),
        multiline=st.sampled_from(["none", "java"]),
        in_flight=st.sampled_from(["1", "3"]),
        most=st.sampled_from([0, 1]),
    )
    def begin(self, inside: bool, limit: str, multiline: str, in_flight: str, most: int) -> None:  # noqa: FBT001 - hypothesis passes by keyword
        """Begin. `inside`: True if the globs match rotated files, too."""
        self.folder = Path(tempfile.mkdtemp())
        pattern = "app.log*" if inside else "app.log"
        environ = {
            "LOGSHIPPER_PATHS": f"{self.folder}/logs/{pattern}",
            "LOGSHIPPER_MAX_LINE_SIZE": limit,
            "LOGSHIPPER_MULTILINE": multiline,
        }
        self.pod = Pod(self.folder, *SINKS, **environ)
        self.pod.most = most  # open files, or no limit
        self.pod.follower.open_files.set_limit(most or self.pod.follower.open_files.limit)
        delivery = {"BATCH_TIMEOUT": "0", "RETRY_MIN": "10ms", "RETRY_MAX": "10ms", "IN_FLIGHT": in_flight}
        self.settings = load(
            Settings,
            {
                **environ,
                **{f"LOGSHIPPER_{name}": value for name, value in delivery.items()},
                "LOGSHIPPER_COUNTED_SINK": "http://127.0.0.1/",
                "LOGSHIPPER_KEPT_SINK": "http://127.0.0.1/",
                "LOGSHIPPER_KEPT_ON_REJECT": f"{self.folder}/letters",
            },
        ).sinks
        self.sinks = {name: Moody() for name in SINKS}
        self.inside = inside
        self.app = self.pod.log.open("ab", buffering=0)
        self.is_new = True  # no process has looked at the log since it was begun
        self.is_unseen = True  # or since it was truncated
        self.written: list[str] = []
        self.unfinished = b""
        self.rotations = 0
        self.running = True
        self.save()

    # -- the app -------------------------------------------------------------------------------------------------------

    @rule(
        count=st.integers(1, 20),
        size=st.sampled_from([0, 20, 700, 3000]),
        cut=st.integers(0, 30),
        head=st.sampled_from(["", "\tat "]),
    )
    def write(self, count: int, size: int, cut: int, head: str = "") -> None:
        """Write a line. With a `head` it belongs to the event of the line before it."""
        block = self.unfinished
        for _ in range(count):
            self.written.append(f"{head}{len(self.written)} {'y' * size}")
            block += self.written[-1].encode() + b"\n"
        cut = min(cut, len(block))
        self.app.write(block[: len(block) - cut])
        self.unfinished = block[len(block) - cut :]

    def finish_line(self) -> None:
        self.app.write(self.unfinished)
        self.unfinished = b""

    def rotated(self) -> Path:
        self.rotations += 1
        return self.pod.logs / f"app.log.{self.rotations}"

    def is_found_again(self, *, renamed: bool) -> bool:
        """Return True if the log can be found again once it has, or its copy has, a name that no glob matches.

        It is held open, or it is known: by its inode if it is renamed, and a copy by shipped content. Otherwise its
        lines are out of reach by nature, and the app does not rotate it. The proof: no process has looked since the log
        was begun (or for a copy: since it was truncated, whatever was shipped from it before). So the saved state has
        not a byte of it, and not the inode of the copy. A log that stayed empty, and a file with these bytes and such a
        name that somebody put beside it, leave the same state and the same disk. A reader that reads the copy reads
        that file, too, which no glob asks for. `test_unseen_lines` has both, and that a glob which matches is enough.
        """
        if self.running:
            self.look_at_it()
        held = os.fstat(self.app.fileno())
        files = self.pod.store.state.files.values()
        shipped = any(file.inode == held.st_ino and any(m.length for m in file.positions.values()) for file in files)
        return self.inside or self.running or (shipped and not (self.is_new if renamed else self.is_unseen))

    @rule(late=st.booleans())
    def rename(self, late: bool) -> None:  # noqa: FBT001 - hypothesis passes by keyword
        """Rename the file. `late`: the writer continues in the renamed file for a while."""
        if not late:
            self.finish_line()
        if not self.is_found_again(renamed=True):
            return
        self.pod.log.rename(self.rotated())
        if late:
            self.write(2, 20, 0)
        self.begin_log()

    def begin_log(self) -> None:
        self.app.close()
        self.app = self.pod.log.open("ab", buffering=0)
        self.is_new = self.is_unseen = True  # also if it has the inode number of a deleted file that the state knows

    @rule()
    def copytruncate(self) -> None:
        self.finish_line()
        if not self.is_found_again(renamed=False) or not os.fstat(self.app.fileno()).st_size:
            return
        shutil.copyfile(self.pod.log, self.rotated())
        os.truncate(self.pod.log, 0)
        self.is_unseen = True

    @rule()
    def rename_again(self) -> None:
        """Rename the rotated files, as logrotate does with numbers."""
        for path in sorted(self.pod.logs.glob("app.log.*")):
            path.rename(self.rotated())

    @precondition(lambda self: self.running)
    @rule()
    def delete(self) -> None:
        """Delete a file that is held open. There is no crash until all of it was shipped: its lines would be lost."""
        self.finish_line()
        self.look_at_it()
        inode = os.fstat(self.app.fileno()).st_ino
        if not any(tail.descriptor for tail in self.pod.follower.tails.values() if tail.state.inode == inode):
            return
        self.pod.log.unlink()
        self.write(2, 20, 0)
        self.begin_log()
        self.ship_everything()

    # -- the shipper ---------------------------------------------------------------------------------------------------

    def look_at_it(self, later: float = 1.0) -> None:
        """Let the process scan, `later` seconds after it did so before."""
        self.pod.look(later)
        self.is_new = self.is_unseen = False

    @precondition(lambda self: self.running)
    @rule()
    def look(self) -> None:
        self.look_at_it()

    @precondition(lambda self: self.running)
    @rule()
    def much_later(self) -> None:
        """Wait until rotated files are forgotten, unless something in them is not shipped."""
        self.look_at_it(ROTATE_WAIT + 1)

    @precondition(lambda self: self.running)
    @rule(
        sink=st.sampled_from(SINKS),
        room=st.sampled_from([10, 1000, 100_000]),
        responses=st.lists(st.sampled_from(RESPONSES), max_size=6),
    )
    def ship(self, sink: str, room: int, responses: list[str]) -> None:
        """Ship everything. If a sink hangs, the process is killed."""
        self.sinks[sink].responses = responses
        if asyncio.run(self.shipped(sink, room)):
            return
        self.kill()

    async def shipped(self, name: str, room: int) -> bool:
        """Return True if everything was shipped, False if the sink hangs."""
        sink, queue = self.sinks[name], self.pod.queues[name]
        sink.hangs = asyncio.Event()
        health, clock = Health(), asyncio.get_running_loop().time
        collect = queue.collect

        def little(_: int) -> list[Chunk]:  # smaller batches than the settings allow
            return collect(room)

        queue.collect = little  # type: ignore[method-assign,assignment] # an object's own
        shipper = Shipper(self.settings[name], self.pod.pipelines, sink, queue, health, clock)
        shipper.drain()
        running, hanging = asyncio.ensure_future(shipper.run()), asyncio.ensure_future(sink.hangs.wait())
        await asyncio.wait({running, hanging}, return_when=asyncio.FIRST_COMPLETED)
        queue.collect = collect  # type: ignore[method-assign] # an object's own
        if not hanging.done():
            hanging.cancel()
            await running
            return True
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return False

    def ship_everything(self) -> None:
        self.look_at_it()
        self.look_at_it(2)  # the last event of several lines is over
        for name in SINKS:
            self.ship(name, 100_000, [])

    @precondition(lambda self: self.running)
    @rule()
    def kill(self) -> None:
        self.pod.kill()
        self.running = False

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        """Start again. The next `ship` sends the batches again that were in flight."""
        self.pod.begin()
        self.running = True
        self.is_new = self.is_unseen = False
        self.save()

    def save(self) -> None:
        """Save the state as `Store.save` does, without its thread."""
        store = self.pod.store
        store._begin_journal()
        write_snapshot(store, checkpoint.pieces(store.state, store.state.journal), store.state.journal)

    # -- the judge -----------------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_balances(self) -> None:
        if getattr(self, "running", False):
            self.pod.check()

    def letters(self) -> list[dict[str, Any]]:
        files = self.folder.glob("letters/*.ndjson")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def raise_for_status(self) -> None:
        for sink in self.sinks.values():
            assert lines_of(sink.taken + sink.refused) == Counter(self.written)
        kept = self.sinks["kept"]
        got = {record["id"] for record in kept.taken} | {letter["id"] for letter in self.letters()}
        assert got == {record["id"] for record in kept.taken + kept.refused}

    def teardown(self) -> None:
        if not hasattr(self, "pod"):
            return
        try:
            self.finish_line()
            if not self.running:
                self.start()
            for _ in range(3):
                self.ship_everything()
                self.much_later()
            for tail in self.pod.follower.tails.values():
                tail.ending = Ending.PAUSE
            self.ship_everything()
            self.raise_for_status()
        finally:
            self.app.close()
            if self.running:
                self.pod.kill()
            shutil.rmtree(self.folder)


LogShipping.TestCase.settings = examples(60, stateful_step_count=30, suppress_health_check=list(HealthCheck))
TestLogShipping = LogShipping.TestCase
