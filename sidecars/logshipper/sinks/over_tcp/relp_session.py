"""RELP, the reliable event logging protocol, on one connection: frames out, responses in. No I/O.

    frame      <number> SP <command> SP <length> [SP <data>] LF        https://www.rsyslog.com/doc/relp.html
    ours       1 open 85 relp_version=0 …      2 syslog 120 <14>1 …      3 close 0
    response   2 rsp 6 200 OK

The receiver responds to each frame under its number. Numbers rise by one from 1, and are used once on a connection: a
session that has reached the last one is over. A response to a number that is not awaited ends the session, and nothing
that it has responded counts: a receiver that miscounts proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from sidecars.chassis.http.peer_text import sanitized
from sidecars.logshipper.sinks.protocols.connecting import SessionFailed as SessionFailed  # noqa: PLC0414 - what it raises

LAST_NUMBER = 999_999_999
_OPEN = 1
_OFFERS = b"relp_version=0\nrelp_software=logshipper\ncommands=syslog"
_YES = re.compile(rb"([1-9]\d{0,8}) rsp 6 200 OK\n")
_HEAD = re.compile(rb"(0|[1-9]\d{0,8}) ([A-Za-z]{1,32}) (\d{1,9})(?: |\n)")
_LONGEST_HEAD = 64  # bytes
_LONGEST_RESPONSE = 8 * 1024  # bytes of data: a code, a sentence, and what the receiver offers
_CODE = re.compile(rb"(\d{3})(?: ([^\n]*))?")


_NOT_RELP = "the receiver does not speak RELP"


class RelpSession:
    """The state of one connection. `refusal`: the receiver's words about a message that it did not accept, or ""."""

    def __init__(self) -> None:
        self.is_open = False
        self.has_ended = False  # the receiver wants no more
        self.next = _OPEN + 1
        self.refusal = ""
        self._awaited: set[int] = {_OPEN}
        self._buffer = b""

    @staticmethod
    def opening() -> bytes:
        """Return the first frame of the session."""
        return b"%d open %d %b\n" % (_OPEN, len(_OFFERS), _OFFERS)

    def closing(self) -> bytes:
        """Return the last frame of the session."""
        return b"%d close 0\n" % self.next

    def has_room(self, messages: int) -> bool:
        """True if the session has numbers for so many messages."""
        return self.next + messages < LAST_NUMBER

    @property
    def awaited(self) -> int:
        """The number of responses that are still to come."""
        return len(self._awaited)

    def send(self, frames: Sequence[bytes]) -> bytes:
        """Return the frames of these syslog messages, each of which begins with its length. They are awaited now."""
        numbers = range(self.next, self.next + len(frames))
        self.next += len(frames)
        self._awaited.update(numbers)
        return (b"%d syslog %b\n" * len(frames)) % tuple(chain.from_iterable(zip(numbers, frames, strict=True)))

    def receive(self, data: bytes) -> list[int]:
        """Take bytes of the receiver's, and return the numbers of the messages that it has accepted in them.

        Raises SessionFailed; nothing of the session counts then.
        """
        data = self._buffer + data
        found: list[int] = []
        at = 0
        while at < len(data):
            if accepted := _YES.match(data, at):
                self._respond(int(accepted[1]), b"200 OK", found)
                at = accepted.end()
            elif stop := self._take(data, at, found):
                at = stop
            else:
                break
        self._buffer = data[at:]
        return found

    def _take(self, data: bytes, at: int, found: list[int]) -> int:
        """Take the frame that begins there, and return where it ends; 0 if it is not whole yet."""
        head = _HEAD.match(data, at)
        if head is None:
            if len(data) - at > _LONGEST_HEAD or b"\n" in data[at:]:
                raise SessionFailed(_NOT_RELP)
            return 0
        length = int(head[3])
        if length > _LONGEST_RESPONSE:
            raise SessionFailed(f"the receiver's response has more than {_LONGEST_RESPONSE} bytes")
        stop = head.end() + length
        has_content = head[0].endswith(b" ")
        if length and not has_content:
            raise SessionFailed(_NOT_RELP)
        if has_content:
            if len(data) <= stop:
                return 0
            if data[stop : stop + 1] != b"\n":
                raise SessionFailed(_NOT_RELP)
            stop += 1
        self._frame(int(head[1]), head[2], data[head.end() : head.end() + length], found)
        return stop

    def _frame(self, number: int, command: bytes, content: bytes, found: list[int]) -> None:
        if (number, command) == (0, b"serverclose"):
            self.has_ended = True
        elif command == b"rsp":
            self._respond(number, content, found)
        else:
            raise SessionFailed(_NOT_RELP)

    def _respond(self, number: int, content: bytes, found: list[int]) -> None:
        if number not in self._awaited:
            raise SessionFailed("the receiver responded to a message that it was not sent")
        code = _CODE.match(content)
        if code is None:
            raise SessionFailed(_NOT_RELP)
        if number == _OPEN:
            self._opened(code, content)
        elif code[1] == b"200":
            found.append(number)
        else:
            self.refusal = sanitized(content.partition(b"\n")[0].decode("utf-8", "replace")) or "no text"
        self._awaited.remove(number)

    def _opened(self, code: re.Match[bytes], content: bytes) -> None:
        if code[1] != b"200":
            text = sanitized(content.partition(b"\n")[0].decode("utf-8", "replace"))
            raise SessionFailed(f"the receiver refuses the session: {text}")
        offers = dict(line.partition(b"=")[::2] for line in content.split(b"\n")[1:])
        if b"syslog" not in offers.get(b"commands", b"").split(b","):
            raise SessionFailed("the receiver takes no syslog messages over RELP")
        self.is_open = True
