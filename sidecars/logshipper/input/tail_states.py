"""The states of a tail: its file is open, parked, dormant or closed. `tail` has the table of them.

*Parked* is one state with two names for people: a parked file is *idle* if every sink has all of it, else *waiting*.
An open file that could not be opened again, because it has no name any more, is *pinned*: it is never parked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Protocol

from sidecars.chassis.isolation import file_handles
from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.sink_positions import SinkPositions
from sidecars.logshipper.model.file_key import FileKey
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.line_cutting import CuttingRules, Ending
from sidecars.logshipper.state.file_state import FileState


class Content(Protocol):
    """The text of a compressed file (see `compressed.content`)."""

    size: int

    def is_near(self, offset: int) -> bool: ...

    def read(self, offset: int, length: int) -> bytes: ...


class CompressedFile:
    """A compressed file in which a generation goes on: the bytes on the disk, and its text while it is open."""

    __slots__ = ("content", "is_hurried", "stored", "wanted")

    def __init__(self, stored: int, content: Content | None) -> None:
        self.stored = stored  # bytes
        self.content = content  # None: it is not open
        self.wanted: int | None = None  # the offset at which a sink waits to read
        self.is_hurried = False  # True if it is read at once, however long it takes


class TailStates(SinkPositions):
    """Base of `Tail`: the descriptor of the file, and where the file is."""

    __slots__ = (
        "_changed",
        "_length",
        "_missed_since",
        "_modified",
        "beginning",
        "compressed",
        "descriptor",
        "dormant",
        "ending",
        "folder",
        "head",
        "is_pinned",
        "is_summed",
        "number",
        "parked",
        "quiet_since",
        "rules",
    )

    def __init__(self, state: FileState, rules: CuttingRules, ledgers: Mapping[str, Ledger], now: float) -> None:
        super().__init__(state, ledgers)
        self.rules = rules
        self.number = 0  # a tail that was made earlier has a lower one
        self.descriptor: int | None = None
        self.parked = False
        self.dormant = False
        self.is_pinned = False  # True if the open file has lost its name
        self.is_summed = False  # True if the checksum of the content is kept, to know a compressed copy
        self.compressed: CompressedFile | None = None
        self.ending = Ending.OPEN
        self._missed_since: float | None = None  # the first of the scans in a row that did not find the file
        self.quiet_since = now  # when the file was last seen to change
        self.head = b""
        self.folder = ""  # the real directory of the file, without symlinks
        self.beginning = b""  # up to PREFIX_LENGTH bytes, read only where another file has the same head
        self._modified = self._changed = 0  # nanoseconds: the times of modification and of change (of the status, too)
        self._length = 0  # of the file; a copy that continues the generation may be shorter than `state.size`

    @property
    def key(self) -> FileKey:
        return self.state.key

    @property
    def content(self) -> Content | None:
        """The text of the open file if it is compressed."""
        return None if self.compressed is None else self.compressed.content

    @property
    def name(self) -> str:
        """The file's name in its directory."""
        return os.path.basename(self.state.path)  # noqa: PTH119 - paths are text

    @property
    def reachable(self) -> bool:
        """True if the file is open or parked."""
        return self.descriptor is not None or self.parked

    @property
    def is_renamed(self) -> bool:
        """True if the file was found under another name than the log's."""
        return not self.state.first_path.startswith(self.state.path)

    @property
    def is_rotated(self) -> bool:
        """True if the log goes on in another file. A loss of power can undo that: then the file is a log again."""
        return self.is_renamed or self.compressed is not None

    def attach(self, descriptor: int) -> None:
        """Follow this open file from now on; it may be a copy. A file that was open before is closed."""
        self.close()
        self.descriptor, self.compressed = descriptor, None
        self.dormant = False
        self._length = 0
        self.state.identity = file_handles.identity(descriptor, self.state.device)

    def attach_compressed(self, descriptor: int, content: Content, head: bytes, status: os.stat_result) -> None:
        """Continue in this open compressed file, whose text begins with `head`. Close the one that was open before."""
        TailStates.attach(self, descriptor)
        self.head = head
        self.compressed, self._length = CompressedFile(status.st_size, content), content.size
        self._modified, self._changed = status.st_mtime_ns, status.st_ctime_ns

    def detach(self) -> None:
        """Give the descriptor to another tail: it is not closed."""
        self.descriptor = None

    def close(self) -> None:
        self.parked = self.is_pinned = False
        if self.compressed is not None:
            self.compressed.content = None
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def park(self) -> None:
        """Close the file to save a descriptor. It is opened again when it changes or is read."""
        self.close()
        self.parked = True

    def unpark(self, descriptor: int, content: Content | None = None) -> bool:
        """Continue with the file, opened again. Return False, and take nothing, if it is another one with its inode."""
        if file_handles.differ(self.state.identity, file_handles.identity(descriptor, self.state.device)):
            return False
        self.descriptor, self.parked = descriptor, False
        if self.compressed is not None:
            self.compressed.content = content
        return True

    def pin(self) -> bool:
        """Note whether the open file has lost its name, so that nothing could open it again. Return True if so."""
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                self.is_pinned = not os.fstat(self.descriptor).st_nlink
        return self.is_pinned

    def make_dormant(self, *, dormant: bool = True) -> None:
        """Let each scan look for the file, or let none look for it any more."""
        self.dormant = dormant

    def move(self, path: str, key: FileKey, folder: str) -> bool:
        """Note where the file is now. Return True if that differs from before."""
        moved = (self.state.path, self.key) != (path, key)
        self.state.key, self.folder = key, folder  # the key as the object that the listing has: it may have very many
        if moved:
            self.state.path = path
        return moved

    def assign(self, input_name: str, rules: CuttingRules) -> None:
        """Let the file belong to an input."""
        self.state.input, self.rules = input_name, rules

    def end_input(self, ending: Ending) -> bool:
        """Note that no more is expected: the unfinished last line may be shipped. Return True if that is new."""
        is_new, self.ending = self.ending is not ending, ending
        return is_new

    def note_listed(self, now: float, *, is_listed: bool) -> None:
        """Note whether the globs have found the file, or whether it has lost its name."""
        if is_listed:
            self._missed_since = None
            return
        if self._missed_since is None:
            self._missed_since = now
        self.pin()

    def may_come_back(self, since: float) -> bool:
        """Return True if the file was not missed for long, and has a name, or a compressed copy may have its content: a
        directory that is listed while files are renamed in it may leave some of them out.
        """
        may_be_somewhere = not self.is_pinned or self.is_summed
        return may_be_somewhere and self._missed_since is not None and self._missed_since > since

    def restart_quiet(self, now: float) -> None:
        """Count the time without growth from now on."""
        self.quiet_since = now

    def status(self) -> os.stat_result:
        """Return the status of the open file. Raises OSError."""
        return os.fstat(-1 if self.descriptor is None else self.descriptor)

    @property
    def length(self) -> int:
        """The bytes of text in the file, as it was seen last."""
        return self._length

    @property
    def size_on_disk(self) -> int:
        """The size of the file, as it was seen last."""
        return self._length if self.compressed is None else self.compressed.stored

    def is_at(self, path: str, size: int, modified: int) -> bool:
        """Return True if the open or parked file was last seen at this path, with this size and time."""
        return size == self.size_on_disk and modified == self._modified and path == self.state.path and self.reachable

    def as_found(self) -> FoundFile:
        """Return the file as it was seen last."""
        return FoundFile(self.state.path, self.state.input, self.key, self.size_on_disk, self._modified)

    def looks_unchanged(self, status: os.stat_result) -> bool:
        """Return True if this is the status of the file as it was seen last."""
        return (
            (status.st_dev, status.st_ino) == self.key
            and status.st_size == self.size_on_disk
            and status.st_mtime_ns == self._modified
            and status.st_ctime_ns == self._changed
        )

    def stop(self) -> None:
        """Close the file and its accounts. Everything in it must have been delivered or dropped."""
        self.close()
        self.close_accounts()
