"""The state of one file: how it is recognised, and how far each sink has it. Pure.

A process may follow ten thousands of files, and most of them are idle: all sinks have all of them. So what is the same
in such a file is one object: its two paths, its two fingerprints and the positions of all sinks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sidecars.logshipper.model.file_key import FileKey, same_device
from sidecars.logshipper.model.fingerprint import START, Fingerprint
from sidecars.logshipper.model.times.event_times import FileTimes

TELLS_FILES_APART = 64  # bytes: a few at the beginning of a log are those of any log of the app
_MOST_GROUPS = 256  # groups of sinks


class FileState:
    """A generation: how it is recognised, and how far each sink has it. Owned and changed by its `Tail`."""

    __slots__ = (
        "_ends",
        "_sinks",
        "crc",
        "crc_length",
        "encoding",
        "first_path",
        "generation",
        "identity",
        "input",
        "key",
        "path",
        "prefix",
        "seen",
        "size",
        "times",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - the values of a saved file
        self,
        generation: str,
        first_path: str,
        path: str,
        input: str,  # noqa: A002 - as the settings call it
        device: int,
        inode: int,
        size: int = 0,
        prefix: Fingerprint = START,
        seen: Fingerprint = START,
        positions: Mapping[str, Fingerprint] | None = None,
        identity: str = "",
        crc: int = 0,
        crc_length: int = 0,
        times: FileTimes | None = None,
        encoding: str = "",
    ) -> None:
        self.generation = generation  # random id
        self.first_path = path if first_path == path else first_path  # under which it was first seen: records show it
        self.path = path  # where it was last seen
        self.input = input
        self.key: FileKey = (same_device(device), inode)
        self.size = size  # bytes that were seen
        self.prefix = prefix
        self.seen = prefix if seen == prefix else seen  # the end of what was seen, shipped or not
        self.identity = identity  # of the file with this inode (see `file_handles`); "" if unknown
        self.crc = crc  # CRC-32 of the first `crc_length` bytes
        self.crc_length = crc_length
        self.times = times  # what completes the times in it; None if the input's times need nothing
        self.encoding = encoding  # with ENCODING=auto that of UTF-16, by the mark, also if it was truncated since
        self._sinks: tuple[str, ...] = ()
        self._ends: Fingerprint | tuple[Fingerprint, ...] = ()  # one for all sinks, or one for each
        self.set_positions(positions or {})

    def _values(self) -> tuple[object, ...]:
        told = (self.generation, self.first_path, self.path, self.input, self.key, self.size, self.prefix, self.seen)
        return (*told, self.positions, self.identity, self.crc, self.crc_length, self.times, self.encoding)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, FileState) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"FileState{self._values()}"

    @property
    def device(self) -> int:
        return self.key[0]

    @property
    def inode(self) -> int:
        return self.key[1]

    # -- positions -----------------------------------------------------------------------------------------------------

    @property
    def positions(self) -> dict[str, Fingerprint]:
        """Sink -> the end of what it has decided on. A copy: see `set_position`."""
        ends = self._ends
        if isinstance(ends, Fingerprint):
            return dict.fromkeys(self._sinks, ends)
        return dict(zip(self._sinks, ends, strict=True))

    def position(self, sink: str) -> Fingerprint | None:
        """Return the end of what the sink has decided on; None if it has no position in the file."""
        if sink not in self._sinks:
            return None
        ends = self._ends
        return ends if isinstance(ends, Fingerprint) else ends[self._sinks.index(sink)]

    def set_position(self, sink: str, end: Fingerprint) -> None:
        """Set the end of what the sink has decided on."""
        self.set_positions({**self.positions, sink: end})

    def set_positions(self, positions: Mapping[str, Fingerprint]) -> None:
        """Set the positions of these sinks. No other sink has one."""
        ends = tuple(self.seen if end == self.seen else end for end in positions.values())
        self._sinks = _same(tuple(positions))
        self._ends = ends[0] if ends and ends.count(ends[0]) == len(ends) else ends

    # -- what is known -------------------------------------------------------------------------------------------------

    def go_on_as(self, before: FileState) -> None:
        """Take over what a file keeps when it is truncated: its writer goes on in the same encoding."""
        self.encoding = before.encoding

    @property
    def known(self) -> int:
        """The bytes of content by which the file is known, shipped or not."""
        return max(self.prefix.length, self.seen.length)

    @property
    def is_recognisable(self) -> bool:
        """True if enough of the content is known: a line that was shipped, or as many bytes as tell files apart."""
        return self.known >= TELLS_FILES_APART or any(position.length for position in self.positions.values())

    def knows_up_to(self, offset: int) -> bool:
        """Return True if all of a shorter file is known, up to this offset."""
        return max(self.prefix.offset, self.seen.offset) >= offset


@lru_cache(maxsize=_MOST_GROUPS)
def _same(sinks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names, as the same object each time."""
    return sinks
