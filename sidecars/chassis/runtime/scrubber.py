"""The net under the types of settings: no output has the text of a secret, in any of its usual spellings.

The type of a setting decides how it is shown (`config.setting_types`). A defect of ours, or a peer that repeats our
bytes, could still bring a secret into a log line, `/status`, a response or the termination message. So the texts of all
secrets in force are searched for in these outputs, each in its spellings:

    raw · percent-encoded (RFC 3986) · escaped as in JSON · base64, at each of the three places where it may begin

A secret that is found is replaced by `***`, counted, and reported once for each place: it is a defect, as the type
should have hidden it, or a peer repeats its requests. A text shorter than SHORTEST bytes is not searched for, because
it would be found in harmless words.

The search is `in` for each spelling, of which a plain token has four: a fraction of a microsecond for each and for a
line of the usual length. A process without a secret searches for nothing.
"""

from __future__ import annotations

import threading

from sidecars.chassis.runtime import json_text, logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST = 8  # bytes of a text that is searched for
_KEPT = 2  # values of one secret: the one in force, and the one before it
_REPLACEMENT = "***"
_REPORT = "a secret was replaced in an output: please report it, unless a peer repeats what it is sent"
_FIRST_CHARACTER = (0, 2, 3)  # of base64 that depends on the text alone, with 0, 1 or 2 bytes before it


class Net:
    """The secrets that are searched for, and the count of those that were found."""

    def __init__(self) -> None:
        self.hits = 0
        self._spellings: tuple[str, ...] | None = ()  # the longest first; None if they must be put together again
        self._by_owner: dict[object, list[list[str]]] = {}
        self._reported: set[str] = set()
        self._lock = threading.RLock()  # a signal's handler may log

    def hide(self, owner: object, texts: Iterable[str]) -> None:
        """Search for these texts from now on. They take the place of the owner's, of which the last are kept."""
        with self._lock:
            values = self._by_owner.setdefault(owner, [])
            values.append([spelling for text in texts for spelling in _spellings(text)])
            del values[:-_KEPT]
            self._spellings = None

    def scrub(self, text: str, place: str) -> str:
        """Return the text without a secret. `place` names the output, for the report of a hit."""
        for spelling in self._all_spellings():
            if spelling in text:
                # In JSON a secret of digits may stand in a number, which must stay one.
                text = text.replace(spelling, "9" if spelling.isdigit() else _REPLACEMENT)
                self._count(place)
        return text

    def _all_spellings(self) -> tuple[str, ...]:
        spellings = self._spellings
        if spellings is None:  # once after a change, however many secrets were set
            with self._lock:
                found = {spelling for values in self._by_owner.values() for value in values for spelling in value}
                spellings = tuple(sorted(found, key=lambda spelling: (-len(spelling), spelling)))
                self._spellings = spellings
        return spellings

    def _count(self, place: str) -> None:
        with self._lock:
            self.hits += 1
            is_new = place not in self._reported
            self._reported.add(place)
        if is_new:
            log.error(_REPORT, code="secret-replaced", place=place)


def _spellings(text: str) -> Iterator[str]:
    for line in text.splitlines():
        word = line.strip()
        scheme, _, credentials = word.partition(" ")
        for one in (word, credentials if scheme and " " not in credentials else ""):  # `Bearer …`
            if len(one.encode(errors="replace")) >= SHORTEST:
                yield from _encoded(one)


def _encoded(text: str) -> Iterator[str]:
    from base64 import b64encode  # noqa: PLC0415 - only a process with a secret loads it
    from urllib.parse import quote  # noqa: PLC0415 - only a process with a secret loads it

    yield text
    yield json_text.dumps(text)[1:-1]
    for safe in ("", "/"):
        yield quote(text, safe=safe, errors="replace")
    data = text.encode(errors="replace")
    for before, first in enumerate(_FIRST_CHARACTER):
        whole = (before + len(data)) * 8 // 6  # characters that no later byte changes
        for alphabet in (b"+/", b"-_"):
            yield b64encode(bytes(before) + data, altchars=alphabet).decode()[first:whole]


log = logs.get("scrubber")
net = Net()


def hide(owner: object, texts: Iterable[str]) -> None:
    """Search all outputs of this process for these texts of the owner, a secret."""
    net.hide(owner, texts)
    logs.set_scrubber(net.scrub)
