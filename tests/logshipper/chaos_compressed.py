"""The chaos of rotated files that are compressed while the shipper is away (`COMPRESSED=auto`).

They are compressed as logrotate does it, in place, or as the kubelet does it, under another name that is then changed;
with gzip in one or several members, or with zstd. A kill in the middle leaves both files, or a part of the new one, for
the next start, and the compression goes on in the next round.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Callable
from pathlib import Path

from backports import zstd

from tests.logshipper.chaos_app import ChaosApp
from tests.logshipper.chaos_runs import Chaos

_SUFFIXES = (".gz", ".zst")


def _members(text: bytes) -> bytes:
    """Return the text as two members of gzip."""
    middle = len(text) // 2
    return gzip.compress(text[:middle]) + gzip.compress(text[middle:])


_FORMS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (".gz", gzip.compress),
    (".gz", _members),
    (".zst", zstd.compress),
)


class CompressingApp(ChaosApp):
    """An app whose rotated files are compressed by somebody else."""

    def rename_again(self) -> None:
        """Rename the rotated files that are not compressed: the end of a name says how the others are."""
        for path in self._rotated():
            with contextlib.suppress(FileNotFoundError):
                path.rename(
                    path.with_name(f"{path.name}.{self.random.randrange(100)}"[-120:].replace("log.", "log.o", 1))
                )

    def compress(self) -> None:
        """Compress some of the rotated files."""
        for path in self._rotated():
            if self.random.random() < 0.5:
                suffix, form = self.random.choice(_FORMS)
                self.random.choice((self._in_place, self._beside))(path, suffix, form(path.read_bytes()))
                self.compressed += 1

    def _rotated(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("logs/app.log.*") if path.suffix not in _SUFFIXES)

    def _in_place(self, path: Path, suffix: str, content: bytes) -> None:
        """Compress as logrotate does: the new file has its name from the beginning, and the time of the old one."""
        status = path.stat()
        target = path.with_name(path.name + suffix)
        target.write_bytes(content)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.unlink()

    def _beside(self, path: Path, suffix: str, content: bytes) -> None:
        """Compress as the kubelet does: the new file gets its name when it is whole."""
        target = self.folder / "logs" / f"new{suffix}"
        target.write_bytes(content)
        target.rename(path.with_name(path.name + suffix))
        path.unlink()


class CompressedChaos(Chaos):
    """One set of files of which the rotated ones are compressed."""

    app: CompressingApp

    def create_app(self) -> ChaosApp:
        return CompressingApp(self.folder, self.random)

    def open_sinks(self, seed: int) -> dict[str, str]:
        return {**super().open_sinks(seed), "LOGSHIPPER_COMPRESSED": "auto"}

    def change_while_away(self) -> None:
        if self.program is None and self.random.random() < 0.8:
            self.app.compress()
