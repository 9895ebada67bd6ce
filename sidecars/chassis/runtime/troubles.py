"""The latest troubles of the process: the warnings and errors of the last ten minutes, one entry for each code.

    log line ──note──▶ Troubles: at most MOST entries of at most LONGEST characters ──recent──▶ `/status`, the page

An entry is forgotten KEPT seconds after its last line. While it is kept, it counts its lines. If there is a code too
many, the entry whose last line is the oldest goes. The texts are not scrubbed here, but where they are shown.
"""

from __future__ import annotations

import threading
import time

from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.printable import truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEPT = 600.0  # seconds
MOST = 32  # codes
LONGEST = 500  # characters of a message
_LONGEST_VALUE = 200  # characters of a field in it
_UNSHOWN = frozenset({"code", "traceback"})


class _Trouble:
    __slots__ = ("count", "last", "level", "message")

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.level = self.message = ""


class Troubles:
    """A table of troubles by code. Any thread may note one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_code: dict[str, _Trouble] = {}
        self._lock = threading.RLock()  # a signal's handler may log

    def note(self, level: str, msg: str, fields: Mapping[str, object]) -> None:
        """Note a warning or an error. The message is that of the latest line of its code, with its fields behind it."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            code = str(fields.get("code", ""))
            trouble = self._by_code.pop(code, None) or _Trouble()
            self._by_code[code] = trouble  # the order is that of the last lines
            trouble.count += 1
            trouble.last = now
            trouble.level = level
            trouble.message = _message(msg, fields)
            if len(self._by_code) > MOST:
                del self._by_code[next(iter(self._by_code))]

    def recent(self) -> list[dict[str, object]]:
        """Return the troubles of the last ten minutes, errors before warnings, the latest first."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            found: list[dict[str, object]] = [
                {
                    "code": code,
                    "level": trouble.level,
                    "message": trouble.message,
                    "count": trouble.count,
                    "age_seconds": round(now - trouble.last, 1),
                }
                for code, trouble in reversed(self._by_code.items())
            ]
        return sorted(found, key=lambda one: one["level"] != "error")

    def _forget(self, now: float) -> None:
        old = [code for code, trouble in self._by_code.items() if now - trouble.last > KEPT]
        for code in old:
            del self._by_code[code]


def _message(msg: str, fields: Mapping[str, object]) -> str:
    shown = ", ".join(
        f"{name}={truncate(str(value), _LONGEST_VALUE)}" for name, value in fields.items() if name not in _UNSHOWN
    )
    return truncate(f"{msg} ({shown})" if shown else msg, LONGEST)


_table = Troubles()  # a process has one log
note = _table.note
recent = _table.recent
