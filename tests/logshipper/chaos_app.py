"""The app of the chaos program: writes numbered lines and stack traces, and rotates its file in every way."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from base64 import b64encode
from pathlib import Path

_RANDOM_LINE = 4000  # characters
BAD = "never mind "  # the beginning of a line that Elasticsearch rejects


class ChaosApp:
    """An app with two log files below `folder/logs`: `app.log`, which is rotated, and `traces.log`."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.random = chance
        self.folder = folder
        self.log = folder / "logs" / "app.log"
        self.written: list[str] = []  # all lines of both files
        self.rotations = 0
        self.compressed = 0  # rotated files
        self._file = self.log.open("ab", buffering=0)
        self._unfinished = b""  # the rest of a line that was written in part

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write some lines of many sizes; the last one may be written in part."""
        block = self._unfinished
        for _ in range(self.random.choice((1, 3, 30, 150))):
            size = self.random.choice((0, 10, 100, 100, 100, 1000, 9000)) if len(block) < 50_000 else 0
            head = BAD if size < 1000 and self.random.random() < 0.02 else ""
            line = f"{head}{len(self.written)} {'ü' * (size // 2)}{'x' * self.random.randrange(20)}"
            self.written.append(line)
            block += line.encode() + self.random.choice((b"\n", b"\n", b"\r\n"))
        cut = self.random.randrange(len(block)) if self.random.random() < 0.3 else len(block)
        self._file.write(block[:cut])
        self._unfinished = block[cut:]

    def write_random(self, size: int) -> None:
        """Write whole lines of so many bytes, which no compression makes small."""
        self.finish_line()
        lines = []
        for _ in range(0, size, _RANDOM_LINE):
            lines.append(f"{len(self.written)} {b64encode(self.random.randbytes(_RANDOM_LINE * 3 // 4)).decode()}")
            self.written.append(lines[-1])
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def finish_line(self) -> None:
        """Write the rest of the unfinished line."""
        self._file.write(self._unfinished)
        self._unfinished = b""

    def trace(self) -> None:
        """Write stack traces, some of them with a pause in the middle."""
        for _ in range(self.random.choice((1, 5))):
            lines = [f"{len(self.written)} ERROR failed"]
            lines += [f"\tat shop.Order.pay(Order.java:{len(self.written) + number})" for number in range(1, 4)]
            self.written += lines
            at = self.random.randrange(1, len(lines))
            self._append("traces.log", lines[:at])
            if self.random.random() < 0.1:
                time.sleep(0.15)
            self._append("traces.log", lines[at:])

    def _append(self, name: str, lines: list[str]) -> None:
        with (self.folder / "logs" / name).open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())

    # -- rotating ------------------------------------------------------------------------------------------------------

    def rename(self) -> None:
        """Rename the file. The app writes to the renamed file for a while, as one that waits for a signal does."""
        self.rotations += 1
        self.log.rename(self.folder / "logs" / f"app.log.{self.rotations}")
        self.write()
        self.finish_line()
        self.reopen()

    def copytruncate(self) -> None:
        """Copy the file and truncate it."""
        self.finish_line()
        self.rotations += 1
        shutil.copyfile(self.log, self.folder / "logs" / f"app.log.{self.rotations}")
        os.truncate(self.log, 0)

    def rename_again(self) -> None:
        """Rename the rotated files, as logrotate does with numbers. One that is deleted in the meantime is left out."""
        for path in sorted(self.folder.glob("logs/app.log.*")):
            with contextlib.suppress(FileNotFoundError):
                path.rename(
                    path.with_name(f"{path.name}.{self.random.randrange(100)}"[-120:].replace("log.", "log.o", 1))
                )

    def unlink(self) -> None:
        """Delete the file, and write to it once more."""
        self.log.unlink()
        self.write()
        self.finish_line()

    def reopen(self) -> None:
        """Begin a new file under the same name."""
        self._file.close()
        self._file = self.log.open("ab", buffering=0)

    def close(self) -> None:
        self._file.close()
