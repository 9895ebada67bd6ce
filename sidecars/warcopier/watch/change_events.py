"""Events at which to look at the source: when the kernel reports a change, and in any case from time to time.

inotify (through `watchfiles`) makes it quick, and is never relied on. There may be no inotify instance or watch left:
by default a user has 128 instances on a node, in all containers together. inotify may also fail for another reason,
such as a file whose name is not UTF-8, and `watchfiles` then raises errors of its own. After any of its errors the
source is polled for a while, and then inotify is tried again. `watchfiles` needs a thread of its own and aborts the
process if it cannot start one, so that is tested before.

    state     event                                       next state
    notified  a change, or `interval` has passed: yield   notified
    notified  an error of watchfiles                      polling
    polling   2 s have passed: yield                      polling
    polling   60 s have passed                            the caller begins again: notified
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

_QUIET_TIME = 50  # milliseconds without a change before an event; a signal to stop may wait as long
_MAX_DELAY = 2_000  # milliseconds before an event, whatever number of changes there is
_SOON = 1.0  # seconds
_POLL_INTERVAL = 2.0  # seconds between two looks without inotify, at most
_RETRY_AFTER = 60.0  # seconds of polling before inotify is tried again
_THREADS_NEEDED = 2  # that of inotify, and one that has ended and may still count for a moment


class ChangeEvents:
    """The events of one process. `is_polling` is True while there is no inotify, None before the first event.

    `next_look` is the time of the monotonic clock at which the source is looked at in any case; None before the first.
    """

    def __init__(self, interval: float, heartbeat: Heartbeat, on_polling: Callable[[bool], None]) -> None:
        """`interval` is the longest time between two events, in seconds. `on_polling` gets each new `is_polling`."""
        self._interval = interval
        self._heartbeat = heartbeat
        self._on_polling = on_polling
        self.is_polling: bool | None = None
        self.next_look: float | None = None

    def events(
        self, directories: frozenset[str], stop: threading.Event, in_a_hurry: Callable[[], bool]
    ) -> Iterator[None]:
        """Yield events for changes in the directories, until `stop` is set or one of the names needs a new watch.

        While `in_a_hurry` returns True there is an event at least every second. The first event comes soon after
        inotify has started: it stands for changes just before.
        """
        try:
            yield from self._notified(directories, stop, in_a_hurry)
        except Exception as error:  # noqa: BLE001 - inotify is an optimisation, whatever its error
            self._set_polling(is_polling=True, reason=str(error))
        else:
            return
        started = time.monotonic()
        while not stop.is_set() and time.monotonic() < started + _RETRY_AFTER:
            self._heartbeat.idle()
            pause = min(self._interval, _SOON if in_a_hurry() else _POLL_INTERVAL)
            self.next_look = time.monotonic() + pause
            stop.wait(pause)
            self._heartbeat.beat()
            yield

    def _notified(
        self, directories: frozenset[str], stop: threading.Event, in_a_hurry: Callable[[], bool]
    ) -> Iterator[None]:
        if not _can_start_threads(_THREADS_NEEDED):
            raise RuntimeError("there may be no more threads (--pids-limit, podPidsLimit, RLIMIT_NPROC)")
        due = 0.0
        # `ignore_permission_denied` would also hide the error for want of watches.
        readable = sorted(directory for directory in directories if os.access(directory, os.R_OK))
        for changes in watch(
            *readable,
            watch_filter=None,
            debounce=_MAX_DELAY,
            step=_QUIET_TIME,
            stop_event=stop,
            rust_timeout=int(min(self._interval, _SOON) * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
            ignore_permission_denied=False,
        ):
            self._set_polling(is_polling=False)
            self._heartbeat.beat()
            if changes or in_a_hurry() or time.monotonic() >= due:
                yield
                due = self.next_look = time.monotonic() + self._interval
            if any(path in directories for _, path in changes):
                return  # it was removed, moved, or got another mode: the kernel watches the directory, not the name

    def _set_polling(self, *, is_polling: bool, reason: str = "") -> None:
        if is_polling == self.is_polling:
            return
        self.is_polling = is_polling
        self._on_polling(is_polling)
        if is_polling:
            log.warning(
                "inotify is not available, so the source is polled: fs.inotify.max_user_instances or max_user_watches"
                " may be used up, or the limit of threads",
                code="source-polled",
                every_seconds=min(self._interval, _POLL_INTERVAL),
                reason=reason,
            )


def _can_start_threads(count: int) -> bool:
    """True if so many more threads can run at the same time."""
    release = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=release.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:  # "can't start new thread" has no class of its own
        return False
    finally:
        release.set()
        for thread in started:
            thread.join()
    return True
