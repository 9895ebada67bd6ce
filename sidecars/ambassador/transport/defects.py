"""Defects: unexpected exceptions in handling the bytes of a peer.

The data path catches them where it can end one exchange, connection, look-up or check without the others. Each is
counted. Only the first at each place in the code is logged, with its traceback, so that a peer that repeats it cannot
flood the log.
"""

from __future__ import annotations

from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

_MAX_PLACES = 100  # that are distinguished


class Defects:
    """The defects found in the data path of one upstream, which owns it."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: set[tuple[str, str, int]] = set()

    def note(self, error: Exception) -> None:
        """Count a defect, and log it if it is the first of its kind at its place."""
        self.count += 1
        place = _place(error)
        if place not in self._logged and len(self._logged) < _MAX_PLACES:
            self._logged.add(place)
            log.defect("a defect in handling a message; it is logged once: please report the traceback", error)


def _place(error: Exception) -> tuple[str, str, int]:
    """Return the kind of the error, and the file and line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename if trace else ""
    return type(error).__name__, file, trace.tb_lineno if trace else 0
