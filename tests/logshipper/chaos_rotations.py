"""The chaos of very quick rotations: hundreds of files are renamed up to ten times a second, whatever the shipper does.

Each rotation gives every rotated file the next number, as logrotate does. The renaming goes on beside the kills, the
starts and the scans. So a listing of the directory is out of date before its end, and may lack files that are renamed
while it is read. No file is deleted, so each line must arrive, under one id.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

from tests.logshipper.chaos_app import ChaosApp
from tests.logshipper.chaos_runs import Chaos
from tests.logshipper.support import Receiver, lines_of

_PAUSES = (0.0, 0.02, 0.1, 0.1, 0.1)  # seconds between two rotations
_FILES = 300  # rotated files, at the beginning of an episode


class RotatingApp(ChaosApp):
    """An app whose log is rotated by a thread of its own."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._rotate_all_the_time)

    def begin(self, files: int = _FILES) -> None:
        """Write and rotate so many files, and go on with it beside everything else."""
        for _ in range(files):
            self._write_and_rotate()
        self._thread.start()

    def end(self) -> None:
        """Rotate no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _rotate_all_the_time(self) -> None:
        while not self._stopping.wait(self.random.choice(_PAUSES)):
            self._write_and_rotate()

    def _write_and_rotate(self) -> None:
        for _ in range(self.random.choice((1, 3, 12))):
            self.written.append(f"{len(self.written)} {'x' * self.random.randrange(60)}")
            self._file.write(f"{self.written[-1]}\n".encode())
        folder = self.log.parent
        for number in range(self.rotations, 0, -1):
            (folder / f"app.log.{number}").rename(folder / f"app.log.{number + 1}")
        self.log.rename(folder / "app.log.1")
        self.rotations += 1
        self.reopen()

    def close(self) -> None:
        self.end()
        super().close()


class RotationChaos(Chaos):
    """One set of files that are renamed all the time, with two sinks: over HTTP, and files."""

    names: ClassVar[tuple[str, ...]] = ("web", "files")
    app: RotatingApp

    def create_app(self) -> RotatingApp:
        return RotatingApp(self.folder, random.Random(self.random.randrange(10**9)))

    def open_sinks(self, seed: int) -> dict[str, str]:
        del seed
        self.web = Receiver()
        return {
            "LOGSHIPPER_WEB_SINK": self.web.url,
            "LOGSHIPPER_FILES_SINK": f"file://{self.folder}/out",
            "LOGSHIPPER_DELETE_DELIVERED": "false",
            "LOGSHIPPER_ROTATE_WAIT": "2s",
        }

    def fail(self) -> None:
        self.web.mode = self.random.choice(("ok", "ok", "ok", "lost", "503"))

    def repair(self) -> None:
        self.web.mode = "ok"

    def arrived(self) -> dict[str, Counter[str]]:
        return {"web": lines_of(self.web.records()), "files": self.files()}

    def size(self) -> int:
        return len(self.web.stored) + sum(path.stat().st_size for path in self.folder.glob("out/*"))

    def close_sinks(self) -> None:
        self.web.close()

    def wrong_rejections(self) -> list[str]:
        return []

    def run(self, rounds: int) -> None:
        self.app.begin()
        super().run(rounds)

    def round(self) -> None:
        """Let the shipper work beside the rotations, and kill it at any moment."""
        self.start()
        self.fail()
        time.sleep(self.random.choice((0.4, 0.8, 1.5, 2.5)))
        self.random.choice((self.kill, self.kill, self.kill, self.kill, self.stop))()

    def finish(self) -> None:
        self.app.end()
        super().finish()
