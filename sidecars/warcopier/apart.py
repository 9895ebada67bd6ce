"""Two processes for one archive: one reads and proves what is in it, the other writes that into files.

Unpacking has two halves that take about the same time: inflating and checking the entries, and creating files, which
is the kernel's work. With small files the time goes into very many short steps, and threads cannot share those: each
of them would wait for the interpreter. So the first half runs in a child of this process. It is a fork: it has what it
needs, begins at once, and shares our memory. It never touches the target; all it does is to read the source and to
write what it has proven into a pipe.

Whatever happens to one of the two, the other one notices: without us the pipe breaks, and the child ends; without the
child the pipe ends before the last word, and the run fails. Nothing is published unless that word was good.

The pipe carries `marshal` messages, each behind its length: lists of `(path, piece, crc, last)`, several small files to
a message, and at the end one tuple: what the archive holds, or what is wrong with it. A file's last piece is only sent
once all of the file is proven; the parent proves what it has written by the same checksum.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import sys
from contextlib import contextmanager, suppress

from chassis import signals
from chassis.frozen import TYPE_CHECKING
from chassis.lifecycle import IOFailed
from sidecars.warcopier.archive import Contents
from sidecars.warcopier.naming import shown
from sidecars.warcopier.zipdir import NotAnArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, BinaryIO

    from sidecars.warcopier.archive import Sink

    Examine = Callable[[Sink], Contents]
    Part = tuple[bytes, bytes, int, bool]

_BATCH = 1 << 17  # bytes in a message, about
_PIPE = 1 << 20  # bytes that may be on their way: neither side should wait for the other
_LENGTH = 4  # bytes
_FIRST = 3  # the first descriptor after stdin, stdout and stderr
_KILL = 9  # SIGKILL
_FAILURES = {kind.__name__: kind for kind in (NotAnArchive, IOFailed)}
_GOOD = "good"


@contextmanager
def examining(examine: Examine, reader: int, path: str) -> Iterator[Examine]:
    """`examine`, but already at work in a process of its own; to be called once, within the context.

    `reader` is the one open file that it needs, and `path` what people call that. Where there may be no more processes
    it is simply `examine` itself. To be used while there are no other threads. Raises what `examine` raises, and
    IOFailed when the child is killed.
    """
    child = 0
    pipe: BinaryIO | None = None
    try:
        with suppress(OSError), signals.waiting():
            pipe, child = _fork(examine, reader)
        yield _Receiver(pipe, path).examine if pipe else examine
    finally:
        with signals.waiting():
            if pipe:
                pipe.close()
            if child:
                os.kill(child, _KILL)  # it has nothing to lose, and may be in the middle of something long
                os.waitpid(child, 0)


def _fork(examine: Examine, reader: int) -> tuple[BinaryIO, int]:
    """Start the child. Our end of the pipe, and the child's number. Raises OSError when there may be none."""
    ours, theirs = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        raise
    if not child:
        _live(examine, reader, theirs)
    os.close(theirs)
    return open(ours, "rb"), child  # noqa: PTH123 - it is closed where the context ends


# -- the child ------------------------------------------------------------------------------------------------------


def _live(examine: Examine, reader: int, pipe: int) -> None:
    """All that the child does. It never returns to what its parent was about to do."""
    try:
        signals.end_at_once()
        _close_all_but(reader, pipe)
        _send(examine, pipe)
    except BaseException:  # noqa: BLE001 - whatever it is, nobody else can tell it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _close_all_but(*kept: int) -> None:
    """Let go of all that is the parent's: above all of its lock, which would outlive it with us."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - of numbers
        if int(name) >= _FIRST and int(name) not in kept:
            with suppress(OSError):  # that of the listing itself
                os.close(int(name))


def _send(examine: Examine, pipe: int) -> None:
    with suppress(OSError):  # it works with the usual size, too
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    with suppress(BrokenPipeError), open(pipe, "wb") as out:
        sender = _Sender(out)
        try:
            found = examine(sender)
        except (NotAnArchive, IOFailed) as error:
            sender.end((type(error).__name__, str(error)))
        else:
            sender.end((_GOOD, found.entries, found.unpacked, found.has_web_inf))


class _Sender:
    """The sink in the child."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._batch: list[Part] = []
        self._size = 0

    def directory(self, path: bytes) -> None:
        self._add(path, b"", 0, last=True)

    def file(self, path: bytes, pieces: Iterable[bytes], crc: int) -> None:
        held = b""
        for piece in pieces:
            if held:
                self._add(path, held, crc, last=False)
            held = piece
        self._add(path, held, crc, last=True)

    def _add(self, path: bytes, piece: bytes, crc: int, *, last: bool) -> None:
        self._batch.append((path, piece, crc, last))
        self._size += len(path) + len(piece)
        if self._size >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._write(self._batch)
        self._batch, self._size = [], 0

    def end(self, outcome: tuple[str | int, ...]) -> None:
        self._flush()
        self._write(outcome)

    def _write(self, message: list[Part] | tuple[str | int, ...]) -> None:
        data = marshal.dumps(message)
        self._out.write(len(data).to_bytes(_LENGTH, "little"))
        self._out.write(data)
        self._out.flush()


# -- the parent -----------------------------------------------------------------------------------------------------


class _Receiver:
    """Hands what the child has proven to the sink that writes it."""

    def __init__(self, pipe: BinaryIO, path: str) -> None:
        self._pipe = pipe
        self._path = path
        self._contents: Contents | None = None

    def examine(self, sink: Sink) -> Contents:
        parts = self._parts()
        for path, piece, crc, last in parts:
            if path.endswith(b"/"):
                sink.directory(path)
            else:
                sink.file(path, (piece,) if last else _pieces(piece, parts), crc)
        assert self._contents is not None  # noqa: S101 - that is what ends the parts
        return self._contents

    def _parts(self) -> Iterator[Part]:
        """All parts until the last word. Raises that word when it is a failure."""
        while type(message := self._next()) is list:
            yield from message
        kind, *said = message
        if kind in _FAILURES:
            raise _FAILURES[kind](*said)
        self._contents = Contents(*said)

    def _next(self) -> Any:
        length = int.from_bytes(self._pipe.read(_LENGTH), "little")
        data = self._pipe.read(length)
        if not length or len(data) < length:
            raise IOFailed(
                f"{shown(self._path)}: the process that reads it has died: give the container more memory, or try again"
            )
        return marshal.loads(data)  # noqa: S302 - from our own child


def _pieces(piece: bytes, parts: Iterator[Part]) -> Iterator[bytes]:
    """The pieces of a file that has several, the first of which is here."""
    last = False
    yield piece
    while not last:
        _, piece, _, last = next(parts)
        yield piece
