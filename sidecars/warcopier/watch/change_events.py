"""The moments to look at the source: when the kernel tells of a change, and in any case from time to time.

inotify (through `watchfiles`) makes it quick, and is never relied on. It may have no instance or watch to give: by
default a user has 128 instances on a node, whatever container they are in. It may also fail for another reason, such as
a file whose name is not UTF-8, and `watchfiles` then raises errors of its own. Whatever it raises, the source is polled
for a while, and then inotify is tried again. It needs a thread of its own, and without one `watchfiles` aborts the
process, so that is asked for before.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from watchfiles import watch

from sidecars.chassis.runtime import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidecars.chassis.runtime.health import Heartbeat

log = logs.get("warcopier")

_SETTLE = 50  # milliseconds without a change before one is followed; also how long a signal to stop may have to wait
_LONGEST = 2_000  # milliseconds, however much goes on
_SOON = 1.0  # seconds
_POLL = 2.0  # seconds between two looks while there is no inotify, at most
_TRY_AGAIN = 60.0  # seconds after which inotify is tried again
_NEEDED = 2  # threads: that of inotify, and one that has ended and may still count for an instant


class ChangeEvents:
    """Tells when to look. `polls` is True while the source is only polled, and None before it is known."""

    def __init__(self, interval: float, pulse: Heartbeat, switched: Callable[[bool], None]) -> None:
        """Look every `interval` seconds at least. `switched` is told whether the source is only polled from now on."""
        self._interval = interval
        self._pulse = pulse
        self._switched = switched
        self.polls: bool | None = None

    def of(self, directories: frozenset[str], stop: threading.Event, hurry: Callable[[], bool]) -> Iterator[None]:
        """Return moments until told to stop, or until another directory may have the name of one of those.

        While `hurry` says True there is one at least every second. The first comes soon after the kernel
        has begun to tell: for what happened just before.
        """
        try:
            yield from self._told(directories, stop, hurry)
        except Exception as error:  # noqa: BLE001 - whatever the watcher has, it is an optimisation
            self._note(polls=True, reason=str(error))
        else:
            return
        tried = time.monotonic()
        while not stop.is_set() and time.monotonic() < tried + _TRY_AGAIN:
            self._pulse.idle()
            stop.wait(min(self._interval, _SOON if hurry() else _POLL))
            self._pulse.beat()
            yield

    def _told(self, directories: frozenset[str], stop: threading.Event, hurry: Callable[[], bool]) -> Iterator[None]:
        if not _may_start_threads(_NEEDED):
            raise RuntimeError("there may be no more threads (--pids-limit, podPidsLimit, RLIMIT_NPROC)")
        due = 0.0
        # `ignore_permission_denied` would also hide that there are no more watches.
        readable = sorted(directory for directory in directories if os.access(directory, os.R_OK))
        for changes in watch(
            *readable,
            watch_filter=None,
            debounce=_LONGEST,
            step=_SETTLE,
            stop_event=stop,
            rust_timeout=int(min(self._interval, _SOON) * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
            ignore_permission_denied=False,
        ):
            self._note(polls=False)
            self._pulse.beat()
            if changes or hurry() or time.monotonic() >= due:
                yield
                due = time.monotonic() + self._interval
            if any(path in directories for _, path in changes):
                return  # removed, moved, or its permissions are others: the kernel watches the directory, not the name

    def _note(self, *, polls: bool, reason: str = "") -> None:
        if polls == self.polls:
            return
        self.polls = polls
        self._switched(polls)
        if polls:
            log.warning(
                "the kernel tells of no changes (inotify), so the source is polled: fs.inotify.max_user_instances or"
                " max_user_watches may be used up, or the limit of threads",
                every_seconds=min(self._interval, _POLL),
                reason=reason,
            )


def _may_start_threads(count: int) -> bool:
    """Return True if so many more threads may run at a time."""
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=over.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:  # "can't start new thread" has no class of its own
        return False
    finally:
        over.set()
        for thread in started:
            thread.join()
    return True
