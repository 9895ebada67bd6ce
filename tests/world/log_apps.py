"""Apps that write logs on the disk of the world, and rotate them in every way."""

from __future__ import annotations

import asyncio
import gzip

from tests.world.disk import Inode, Volume
from tests.world.log_ledger import Ledger
from tests.world.universe import Universe

POISON = "poison"
_KEPT = 3  # rotated files


class LogApp:
    """An app with one log file."""

    def __init__(self, universe: Universe, volume: Volume, ledger: Ledger, name: str, rotation: str) -> None:
        self.name = name
        self.rotation = rotation
        self.poison_share = 0.0
        self.is_copying = False  # a copy is there, and the file is not truncated yet
        self._universe = universe
        self._volume = volume
        self._ledger = ledger
        self._file: Inode | None = None
        self._count = 0
        self._unfinished = b""  # the rest of a line
        self._line = ""  # the line that it is of

    async def live(self) -> None:
        """Write and rotate until cancelled."""
        universe = self._universe
        while True:
            await asyncio.sleep(universe.choose(0.0, universe.between(0.0, 0.3), universe.between(0.0, 2.0)))
            if universe.chance(0.15):
                await self.rotate()
            else:
                self.write(universe.choose(1, 1, 3, 20))

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, count: int, *, is_whole: bool = False) -> None:
        """Write some lines; the last one may be written in part."""
        self.finish_line()
        for left in reversed(range(count)):
            self._count += 1
            poison = f" {POISON}" if self._universe.chance(self.poison_share) else ""
            padding = "x" * self._universe.choose(0, 3, 30, 100, 300, 1000 if count < 4 else 0)
            self._line = f"{self.name} {self._count}{poison} {padding}"
            data = self._line.encode() + b"\n"
            cut = len(data)
            if not left and not is_whole and self._universe.chance(0.2):
                cut = self._universe.dice.randint(1, len(data) - 1)
            self._unfinished = data[cut:]
            self._append(data[:cut])

    def finish_line(self) -> None:
        if self._unfinished:
            data, self._unfinished = self._unfinished, b""
            self._append(data)

    def _append(self, data: bytes) -> None:
        file = self._opened()
        if not self._unfinished:
            self._ledger.note_written(self._line)
        file.write(len(file.data), data)

    def _opened(self) -> Inode:
        if self._file is None:
            folder = self._volume.root
            self._file = folder.names.get(self.name) or folder.create(self.name)
            self._file.opens += 1
            if self._file.data and not self._file.data.endswith(b"\n"):
                self._file.write(len(self._file.data), b"\n")  # a loss of power has torn the last line
                torn = bytes(self._file.data).rstrip(b"\n").rpartition(b"\n")[2].lstrip(b"\0").decode()
                if torn:
                    self._ledger.note_written(torn)
        return self._file

    # -- rotating -----------------------------------------------------------------------------------------------------

    async def rotate(self) -> None:
        self._universe.record(f"{self.name} is rotated: {self.rotation}")
        match self.rotation:
            case "create":
                await self._rotate_by_renaming()
            case "copytruncate":
                await self._rotate_by_copying()
            case "compress":
                await self._rotate_by_renaming()
                await self._compress(self._universe.choose(1, 2))
            case "delete":
                self._delete()

    async def _rotate_by_renaming(self) -> None:
        file = self._opened()
        if self.name not in self._volume.root.names:  # it was deleted: it is opened anew, as after any rotation
            self.finish_line()
            self.close()
            return
        self._shift()
        self._volume.root.rename(self.name, f"{self.name}.1")
        if self._universe.chance(0.3):  # the app is told later
            await asyncio.sleep(self._universe.between(0.0, 0.5))
            if self._file is file:
                self.write(2)
        if self._file is file:
            self.finish_line()
            self.close()

    async def _compress(self, number: int) -> None:
        """Compress a rotated file as gzip(1) does: the copy is written in place, and then the file is removed."""
        names, universe = self._volume.root.names, self._universe
        name = f"{self.name}.{number}"
        if name not in names or f"{name}.gz" in names:
            return
        original, copy = names[name], self._volume.root.create(f"{name}.gz")
        data = gzip.compress(bytes(original.data), mtime=0)
        at = 0
        while at < len(data):
            size = len(data) - at if universe.chance(0.6) else universe.dice.randint(1, len(data) - at)
            copy.write(at, data[at : at + size])
            at += size
            if universe.chance(0.3):
                await asyncio.sleep(universe.between(0.0, 0.3))
        if names.get(name) is original and gzip.decompress(data) == original.data:
            self._volume.root.remove(name)

    async def _rotate_by_copying(self) -> None:
        self.finish_line()
        file, universe = self._opened(), self._universe
        self._shift()
        copy, at = self._volume.root.create(f"{self.name}.1"), 0
        self.is_copying = True
        while at < len(file.data):
            size = len(file.data) - at if universe.chance(0.6) else universe.dice.randint(1, len(file.data) - at)
            copy.write(at, bytes(file.data[at : at + size]))
            at += size
            if universe.chance(0.3):
                await asyncio.sleep(universe.between(0.0, 0.3))
                if self._file is not file:
                    return  # the power was lost
        file.truncate(0)
        self.is_copying = False

    def _delete(self) -> None:
        self.finish_line()
        self._opened()
        if self.name in self._volume.root.names:
            self._volume.root.remove(self.name)
        self.close()

    def _shift(self) -> None:
        names = self._volume.root.names
        for suffix in ("", ".gz"):
            if f"{self.name}.{_KEPT}{suffix}" in names:
                self._volume.root.remove(f"{self.name}.{_KEPT}{suffix}")
            for number in range(_KEPT - 1, 0, -1):
                if f"{self.name}.{number}{suffix}" in names:
                    self._volume.root.rename(f"{self.name}.{number}{suffix}", f"{self.name}.{number + 1}{suffix}")

    # -- ends ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close("unlinked")

    def lose_power(self) -> None:
        """Forget the open file, before its volume does."""
        self._unfinished = b""
        if self._file is not None:
            self._file.opens -= 1
            self._file = None
