"""To stay, and to publish again whenever the source changes.

The kernel tells when something changes (`watchfiles`, inotify) in the directories that the source is read from, and in
those that its links lead to: a ConfigMap or a Secret is swapped by one rename of a link (`..data`) in such a directory.
What the kernel does not tell (network file systems, a directory that is mounted anew) is found by looking again every
WARCOPIER_WATCH_INTERVAL. A look costs a `stat` for each WAR: only where one differs is there a run, and there digests
decide whether anything is published.

The first run must succeed, or the process ends as a job would: nothing is there to stay for. Any later failure is
logged, counted and shown, and what is published stays: a source that is broken or gone for a moment must not take a
good app down. The next change, and every interval in which the system (not the source) was at fault, is a new attempt.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from watchfiles import watch

from chassis import admin, lifecycle, logs
from chassis.lifecycle import Failure, IOFailed
from sidecars.warcopier import app, sources
from sidecars.warcopier.copying import Stopped
from sidecars.warcopier.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chassis.health import Health, Pulse
    from chassis.lifecycle import Life
    from sidecars.warcopier.app import Outcome
    from sidecars.warcopier.settings import Settings

log = logs.get("warcopier")

_SETTLE = 50  # milliseconds without a change before one is followed; also how long a signal to stop may have to wait
_LONGEST = 2_000  # milliseconds, however much goes on
_SOON = 1.0  # seconds
_LONGEST_STEP = 300.0  # seconds, such as flushing a large WAR to a slow disk, after which the thread counts as dead
Look = tuple[tuple[object, ...], ...]


async def run(settings: Settings, life: Life) -> None:
    """Publish, and again after every change, until told to stop."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it would count every event
    registry = admin.registry()
    publisher = Publisher(settings, Metrics(registry), life.health)
    stop = threading.Event()
    _demand_threads()
    async with admin.serve(settings, life.health, registry, publisher.page):
        work = asyncio.create_task(asyncio.to_thread(publisher.stay, stop))
        told = asyncio.create_task(life.stopping.wait())
        await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        told.cancel()
        await work


def _demand_threads() -> None:
    try:
        threading.Thread(target=int).start()
    except RuntimeError:  # "can't start new thread" has no class of its own
        raise IOFailed(
            "WARCOPIER_WATCH=true: it works in a second thread, and there may be no more threads: raise the limit of"
            " processes (--pids-limit, podPidsLimit, RLIMIT_NPROC)"
        ) from None


class Publisher:
    """Runs, one after another, in a thread of its own; and what is told about them."""

    def __init__(self, settings: Settings, metrics: Metrics, health: Health) -> None:
        self._settings = settings
        self._metrics = metrics
        self._hold = health.hold("publisher", "nothing is published yet")
        self._pulse = health.pulse("publisher", _LONGEST_STEP)
        self._outcome: Outcome | None = None
        self._failure = ""

    def page(self) -> dict[str, object]:
        """For `/status`."""
        artifacts = self._outcome.sha256 if self._outcome else {}
        return {"artifacts": artifacts, "last_failure": self._failure}

    def stay(self, stop: threading.Event) -> None:
        """Publish until `stop` is set. Raises what the first run raises."""
        seen = _look(self._settings)
        self._publish(stop)
        again = False
        while not stop.is_set():
            directories = _directories(self._settings)
            for _ in _moments(directories, self._settings.watch_interval, stop, self._pulse):
                look = _look(self._settings)
                if look != seen or again:
                    seen, again = look, not self._publish_later(stop)
                if _directories(self._settings) != directories:
                    break

    def _publish_later(self, stop: threading.Event) -> bool:
        """A run that may fail. False when it is worth trying again although the source has not changed."""
        try:
            self._publish(stop)
        except Failure as failure:
            self._tell(failure)
            return not isinstance(failure, IOFailed)
        return True

    def _publish(self, stop: threading.Event) -> None:
        begun = time.monotonic()
        try:
            outcome = app.publish(self._settings, lambda: self._is_over(stop))
        except Stopped:
            return
        except Failure:
            self._metrics.failed(time.monotonic() - begun)
            raise
        seconds = time.monotonic() - begun
        if outcome.published or outcome.pruned or self._outcome is None or self._failure:
            app.report(outcome, seconds)
        self._outcome, self._failure = outcome, ""
        self._metrics.succeeded(outcome, seconds, time.time())
        self._hold.release()

    def _is_over(self, stop: threading.Event) -> bool:
        """Asked at every step of the work."""
        self._pulse.beat()
        return stop.is_set()

    def _tell(self, failure: Failure) -> None:
        if failure.reason != self._failure:  # once, however often it is tried again
            log.error(failure.reason, kept="what is published stays")
            lifecycle.write_termination(failure.reason)
        self._failure = failure.reason


def _moments(directories: frozenset[str], interval: float, stop: threading.Event, pulse: Pulse) -> Iterator[None]:
    """The moments to look: the kernel tells of a change, or an interval has passed. Ends when told to stop.

    The first comes soon after the kernel has begun to tell: for what happened just before.
    """
    log.info("watching", directories=sorted(directories))
    due = 0.0
    try:
        for changes in watch(
            *sorted(directories),
            watch_filter=None,
            debounce=_LONGEST,
            step=_SETTLE,
            stop_event=stop,
            rust_timeout=int(min(interval, _SOON) * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
            ignore_permission_denied=True,
        ):
            pulse.beat()
            if changes or time.monotonic() >= due:
                yield
                due = time.monotonic() + interval
    except OSError as error:  # a directory has gone since it was listed, or the kernel has no more watches to give
        log.warning("cannot be watched, so it is only looked at now and then", reason=str(error))
        pulse.idle()
        stop.wait(interval)
        pulse.beat()
        yield


def _look(settings: Settings) -> Look:
    """What the source looks like from outside: where each WAR and its digests really lie, and their fingerprints."""
    try:
        found = sources.listed(settings)
    except Failure as failure:
        return ((failure.reason,),)
    sums = {sources.sums_beside(source): None for source in found}
    wars = [(source.name, sources.resolved(source.path), source.device, source.fingerprint) for source in found]
    return (*wars, *((place, sources.fingerprint_of(place)) for place in sums))


def _directories(settings: Settings) -> frozenset[str]:
    """The directories in which something happens when the source changes."""
    return frozenset(filter(os.path.isdir, (place for part in settings.source for place in sources.places(part))))
