"""The model and the real Store agree: what spin does in a random run is done to a Store, which must load the same."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecars.logshipper.model.fingerprint import Fingerprint
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.sent_batches import ChunkRange, SentBatch
from sidecars.logshipper.state.store import Store
from tests.logshipper.state.snapshots import write_snapshot
from tests.model.checker import MODEL

GENERATION = "g0"
RUNS = 25


def story(seed: int) -> list[list[str]]:
    """Return the steps of one random run of the model, with two sinks and two kills."""
    assert shutil.which("spin"), "spin is needed to replay the model: apt-get install spin"
    constants = ["-DN=4", "-DSINKS=2", "-DKILLS=2", "-DLOSSES=0", "-DFAILURES=0"]
    run = subprocess.run(
        ["spin", f"-n{seed}", "-T", "-u20000", *constants, str(MODEL)], capture_output=True, text=True, check=False
    )
    return [line.split() for line in run.stdout.splitlines() if line.split()]


class Replay:
    """A Store that does what the model has done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.loads = 0
        self._loaded: list[tuple[int, ...]] = []
        self._copy: tuple[list[tuple[int, bytes]], int] = ([], 0)
        self.store = self._opened()
        self.store.add_sinks(("0", "1"))
        positions = {sink: Fingerprint(0, 0, "") for sink in ("0", "1")}
        self.store.add_file(FileState(GENERATION, "/a", "/a", "default", 1, 2, positions=positions))
        asyncio.run(self.store.save())
        self._restart()

    def _opened(self) -> Store:
        store = Store(self._folder, "LOGSHIPPER_STATE_DIR")
        store.open()
        return store

    def _restart(self) -> None:
        self.store.close()  # kill -9: nothing else is written
        self.store = self._opened()

    def do(self, step: list[str]) -> None:
        numbers = [int(each) for each in step[1:] if each.isdigit()]
        store = self.store
        match step:
            case ["collect", sink, _, _]:
                sent = [ChunkRange(GENERATION, numbers[1], numbers[1], numbers[2], kind=0)]
                store.record_sending(sink, [SentBatch(sent, at=1)])
            case ["settle", sink, _]:
                store.record_decision(sink, {GENERATION: Fingerprint(numbers[1], 0, "")}, None, [])
            case ["save"]:
                if store._journal is None or not store._begun:
                    store._begin_journal()
                self._copy = (list(checkpoint.pieces(store.state, store.state.journal)), store.state.journal)
            case ["renamed"]:
                write_snapshot(store, *self._copy)
            case ["saved"]:
                store._begun = False
            case ["kill"]:
                self._restart()
            case ["loaded", sink, *_]:
                self.loads += 1
                position = store.state.files[GENERATION].positions[sink].offset
                assert position == numbers[1]
                ranges = [(each.start, each.end) for batch in store.sink(sink).sending for each in batch.ranges]
                in_flight = [(numbers[3], numbers[4])] if numbers[3] != numbers[4] else []
                # The model clears a batch that is decided; the Store's reader skips it by its position.
                assert [each for each in ranges if each[0] >= position] == [
                    each for each in in_flight if each[0] >= position
                ]


@pytest.mark.parametrize("seed", range(1, RUNS + 1))
def test_the_store_loads_what_the_model_says(seed: int, tmp_path: Path) -> None:
    steps = story(seed)
    replay = Replay(tmp_path / "state")
    for step in steps:
        replay.do(step)
    replay.store.close()

    assert replay.loads >= 2, steps
