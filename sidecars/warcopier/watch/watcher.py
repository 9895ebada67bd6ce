"""To stay, and to publish again whenever the source changes.

A look costs a `stat` for each WAR, and is taken at the moments of `moments`: only where one differs is there a run, and
there digests decide whether anything is published. The swap of a ConfigMap or a Secret is one rename of a link
(`..data`) in a directory that is watched. A source that is being written is waited for (see `settling`).

Where nothing good is in the target, the first run must succeed, or the process ends as a job would: nothing is there to
stay for. Any other failure is logged, counted and shown, and what is published stays, also by an earlier process: a
source that is broken or gone for a moment must not take a good app down, and neither must the restart of a container.
The next change, and every interval in which the system (not the source) was at fault, is a new attempt.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sidecars.chassis import admin_server
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.lifecycle import BadData, BadSettings, Failure, IOFailed
from sidecars.warcopier import app, artifacts
from sidecars.warcopier.metrics import Metrics
from sidecars.warcopier.source import listing
from sidecars.warcopier.target.stager import SourceChanged
from sidecars.warcopier.tomcat_names import utf8_text
from sidecars.warcopier.transfer.copying import Stopped
from sidecars.warcopier.watch.change_events import ChangeEvents
from sidecars.warcopier.watch.settling import Settling

if TYPE_CHECKING:
    from sidecars.chassis.runtime.health import Health
    from sidecars.chassis.runtime.lifecycle import ServiceContext
    from sidecars.warcopier.app import Outcome
    from sidecars.warcopier.settings import Settings

log = logs.get("warcopier")

_LONGEST_STEP = 300.0  # seconds, such as flushing a large WAR to a slow disk, after which the thread counts as dead
SourceState = tuple[tuple[object, ...], ...]


async def run(settings: Settings, context: ServiceContext) -> None:
    """Publish, and again after every change, until told to stop."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it would count every event
    registry = admin_server.registry()
    publisher = Publisher(settings, Metrics(registry), context.health)
    stop = threading.Event()
    _demand_threads()
    async with admin_server.serve(settings, context.health, registry, publisher.page):
        work = asyncio.create_task(asyncio.to_thread(publisher.stay, stop))
        told = asyncio.create_task(context.stopping.wait())
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
        self._latch = health.hold("publisher", "nothing is published yet")
        self._pulse = health.heartbeat("publisher", _LONGEST_STEP)
        self._moments = ChangeEvents(settings.watch_interval, self._pulse, metrics.polls)
        self._outcome: Outcome | None = None
        self._failure = self._unfinished = ""

    def page(self) -> dict[str, object]:
        """For `/status`."""
        artifacts = self._outcome.sha256 if self._outcome else {}
        return {
            "artifacts": {utf8_text(name): digest for name, digest in artifacts.items()},
            "last_failure": self._failure,
            "waiting": self._unfinished,
            "polls": bool(self._moments.polls),
        }

    def stay(self, stop: threading.Event) -> None:
        """Publish until `stop` is set. Raises what the first run raises where nothing good is in the target."""
        look, now = _look(self._settings), time.monotonic()
        settling = Settling(look, now - _age(look, time.time()), now, careful=self._settings.validate == "none")
        again = settling.is_due(now) and self._attempt(settling, stop)
        told: set[str] | None = None
        while not stop.is_set():
            directories = _directories(self._settings)
            if directories.keys() != told:
                log.info("watching", directories=sorted(directories))
                told = set(directories)
            for _ in self._moments.of(frozenset(directories), stop, settling.waits):
                settling.see(_look(self._settings), time.monotonic())
                if settling.is_due(time.monotonic()) or (again and not settling.waits()):
                    again = self._attempt(settling, stop)
                elif settling.waits() and not self._unfinished:
                    self._unfinished = "the source is being written"
                if _directories(self._settings) != directories:
                    break

    def _attempt(self, settling: Settling, stop: threading.Event) -> bool:
        """A run that may fail. True when it is worth trying again although the source does not change."""
        begun = time.monotonic()
        try:
            self._publish(stop)
        except Failure as failure:
            settling.see(_look(self._settings), time.monotonic())
            self._take_over()
            if self._may_be_unfinished(failure) and settling.is_changing(time.monotonic()):
                settling.failed()
                self._wait(failure)
                return False
            self._unfinished = ""
            settling.settle()
            self._fail(failure, time.monotonic() - begun)
            return isinstance(failure, IOFailed)
        self._unfinished = ""
        settling.settle()
        return False

    def _publish(self, stop: threading.Event) -> None:
        begun = time.monotonic()
        try:
            outcome = app.publish(self._settings, lambda: self._is_over(stop))
        except Stopped:
            return
        seconds = time.monotonic() - begun
        if outcome.published or outcome.pruned or self._outcome is None or self._failure:
            app.report(outcome, seconds)
        self._outcome, self._failure = outcome, ""
        self._metrics.succeeded(outcome, seconds, time.time())
        self._latch.release()

    def _take_over(self) -> None:
        """Where nothing is published yet, stay for what earlier runs have published and is still as they left it."""
        if self._outcome is None and (intact := app.intact(self._settings)):
            self._outcome = intact
            self._metrics.shows(intact)
            self._latch.release()

    def _may_be_unfinished(self, failure: Failure) -> bool:
        """True if a source that is being written can cause the failure; at the start that there is none counts."""
        return isinstance(failure, (BadData, SourceChanged)) or (
            isinstance(failure, BadSettings) and self._outcome is not None
        )

    def _wait(self, failure: Failure) -> None:
        if not self._unfinished:
            log.info("the source is being written: waiting until it is complete", reason=failure.reason)
        self._unfinished = failure.reason

    def _is_over(self, stop: threading.Event) -> bool:
        """Asked at every step of the work."""
        self._pulse.beat()
        return stop.is_set()

    def _fail(self, failure: Failure, seconds: float) -> None:
        """Count the failure and tell it, once, however often it is tried again. Raises it where nothing is there."""
        if self._outcome is None:
            raise failure
        self._metrics.failed(seconds)
        if failure.reason != self._failure:
            log.error(failure.reason, kept="what is published stays")
            lifecycle.write_termination_message(failure.reason)
        self._failure = failure.reason


def _age(look: SourceState, now: float) -> float:
    """Return how many seconds ago a source changed last, by its ctime: nobody can set that back."""
    changes = [
        part.ctime_ns / artifacts.SECOND for one in look for part in one if isinstance(part, artifacts.Fingerprint)
    ]
    return max(0.0, now - max(changes, default=0.0))


def _look(settings: Settings) -> SourceState:
    """What the source looks like from outside: where each WAR and its digests really lie, and their fingerprints."""
    try:
        found = listing.list_sources(settings)
    except Failure as failure:
        return ((failure.reason,),)
    sums = {listing.sums_path(source): None for source in found}
    wars = [(source.name, listing.resolve_links(source.path), source.device, source.fingerprint) for source in found]
    return (*wars, *((place, listing.fingerprint_of(place)) for place in sums))


def _directories(settings: Settings) -> dict[str, tuple[int, int]]:
    """Return the directories in which something happens when the source changes, and which ones they are.

    The kernel watches the directory and not its name: where another one has the name, that is to be watched anew.
    """
    found = {}
    for place in {listing.nearest_directory(place) for part in settings.source for place in listing.places(part)}:
        with suppress(OSError):
            directory = os.stat(place)  # noqa: PTH116 - paths are text
            found[place] = (directory.st_dev, directory.st_ino)
    return found
