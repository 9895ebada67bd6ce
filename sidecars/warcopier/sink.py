"""What takes the contents of an archive."""

from __future__ import annotations

from chassis.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol
else:
    Protocol = object


class Sink(Protocol):
    """Takes what an archive holds. Either may raise NotAnArchive or OSError."""

    def directory(self, path: bytes) -> None: ...

    def file(self, path: bytes, pieces: Iterable[bytes], crc: int) -> None:
        """The bytes have been proven once `pieces` ends: their CRC-32 is `crc`."""
