"""A model of an app, its rotations, our crashes and a sink that fails, against what was received and the ledger.

Hypothesis chooses what happens next; whatever it is, the ledger balances after each step, and in the end every whole
line was received, and once repeats are dropped by their ids exactly once.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecars.logshipper import ndjson
from sidecars.logshipper.batch import Batch
from sidecars.logshipper.flight import Flight
from sidecars.logshipper.lines import Ending
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import lines_of


class LogShipping(RuleBasedStateMachine):
    @initialize(inside=st.booleans(), limit=st.sampled_from(["1KiB", "1MiB"]))
    def begin(self, inside: bool, limit: str) -> None:  # noqa: FBT001 - hypothesis passes by keyword
        """`inside`: whether the globs match the rotated files, too."""
        self.folder = Path(tempfile.mkdtemp())
        pattern = "app.log*" if inside else "app.log"
        self.pod = Pod(
            self.folder,
            LOGSHIPPER_PATHS=f"{self.folder}/logs/{pattern}",
            LOGSHIPPER_MAX_LINE_SIZE=limit,
        )
        self.inside = inside
        self.app = self.pod.log.open("ab", buffering=0)
        self.written: list[str] = []
        self.unfinished = b""
        self.received: list[dict[str, Any]] = []
        self.rotations = 0
        self.running = True
        self.save()

    # -- the app -------------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 20), size=st.sampled_from([0, 20, 700, 3000]), cut=st.integers(0, 30))
    def write(self, count: int, size: int, cut: int) -> None:
        block = self.unfinished
        for _ in range(count):
            self.written.append(f"{len(self.written)} {'y' * size}")
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

    def seen(self) -> bool:
        """Whether a file that leaves the globs now is held, or could be recognised by what was shipped of it."""
        if self.running:
            self.pod.look()
        held = os.fstat(self.app.fileno())
        files = self.pod.store.state.files.values()
        shipped = any(file.inode == held.st_ino and any(m.length for m in file.positions.values()) for file in files)
        return self.inside or self.running or shipped

    @rule(late=st.booleans())
    def rename(self, late: bool) -> None:  # noqa: FBT001 - as above
        """`late`: the writer goes on in the renamed file for a while."""
        if not late:
            self.finish_line()
        if not self.seen():
            return
        self.pod.log.rename(self.rotated())
        if late:
            self.write(2, 20, 0)
        self.app.close()
        self.app = self.pod.log.open("ab", buffering=0)

    @rule()
    def copytruncate(self) -> None:
        self.finish_line()
        if not self.seen() or not os.fstat(self.app.fileno()).st_size:
            return
        shutil.copyfile(self.pod.log, self.rotated())
        os.truncate(self.pod.log, 0)

    @precondition(lambda self: self.running)
    @rule()
    def delete(self) -> None:
        """Only a file that is held, and until every line of it was shipped nobody kills us: nothing could help that."""
        self.finish_line()
        self.pod.look()
        self.pod.log.unlink()
        self.write(2, 20, 0)
        self.app.close()
        self.app = self.pod.log.open("ab", buffering=0)
        self.look()
        self.ship(100, 1000, "yes")

    # -- the shipper ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.running)
    @rule()
    def look(self) -> None:
        self.pod.look()

    @precondition(lambda self: self.running)
    @rule()
    def much_later(self) -> None:
        """Long enough for rotated files to be let go, unless something in them is not shipped."""
        self.pod.look(ROTATE_WAIT + 1)

    @precondition(lambda self: self.running)
    @rule(
        room=st.sampled_from([10, 1000, 100_000]),
        batches=st.integers(1, 20),
        answer=st.sampled_from(["yes", "yes", "no"]),
    )
    def ship(self, room: int, batches: int, answer: str) -> None:
        for _ in range(batches):
            parts = self.pod.feeds["default"].collect(room)
            if not parts:
                return
            flight = self.pod.send("default", parts)
            if answer == "yes":
                self.receive(flight.batch)
                self.pod.settle(flight)
            else:  # it stays on its way: what else could be done is to be killed, or to try again
                self.pod.follower.tails[parts[0].file]._flying.clear()
                self.pod.feeds["default"]._flying.clear()
                return

    @precondition(lambda self: self.running)
    @rule(arrived=st.booleans())
    def killed_while_sending(self, arrived: bool) -> None:  # noqa: FBT001 - as above
        parts = self.pod.feeds["default"].collect(1000)
        if parts:
            flight = self.pod.send("default", parts)
            if arrived:
                self.receive(flight.batch)
        self.kill()

    @precondition(lambda self: self.running)
    @rule()
    def kill(self) -> None:
        self.pod.kill()
        self.running = False

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        self.pod.begin()
        self.running = True
        self.save()
        for parts in self.pod.feeds["default"].take_up():
            flight = Flight("default", parts, self.pod.shape)
            self.receive(flight.batch)
            self.pod.settle(flight)

    def save(self) -> None:
        """What `Store.save` does, without its thread."""
        store = self.pod.store
        store._begin_journal()
        from sidecars.logshipper import checkpoint  # noqa: PLC0415 - only here

        store._write(checkpoint.dump(store.state, store.state.journal), store.state.journal)

    def receive(self, batch: Batch) -> None:
        self.received += [json.loads(line) for line in b"".join(ndjson.encode(batch)).splitlines()]

    # -- the judge -----------------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_balances(self) -> None:
        if getattr(self, "running", False):
            self.pod.check()

    def teardown(self) -> None:
        if not hasattr(self, "pod"):
            return
        try:
            self.finish_line()
            if not self.running:
                self.start()
            for _ in range(3):
                self.look()
                self.ship(100_000, 1000, "yes")
                self.much_later()
            for tail in self.pod.follower.tails.values():
                tail.ending = Ending.PAUSE
            self.ship(100_000, 1000, "yes")
            assert lines_of(self.received) == Counter(self.written)
        finally:
            self.app.close()
            if self.running:
                self.pod.kill()
            shutil.rmtree(self.folder)


LogShipping.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLogShipping = LogShipping.TestCase
