"""WARCOPIER_WATCH: the process stays, and publishes again whenever the source changes.

At each of the `change_events` the state of the source is observed, which costs a `stat` for each WAR. If the state
differs there is a run, and in the run the digests decide whether anything is published. The swap of a ConfigMap or a
Secret is one rename of a link (`..data`) in a watched directory. `settling` decides when a changed source is worth
a run.

The first run must succeed unless the target has good artifacts, else the process ends as a job would: there is nothing
to stay for. Any other failure is logged, counted and shown in `/status`. The artifacts stay, also those that an earlier
process published: a source that is broken or missing for a moment must not take a good application down, and neither
must a restart of the container. A new attempt follows the next change, and, if the system and not the source was at
fault, every interval.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from sidecars.chassis import admin_server
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.lifecycle import BadData, BadSettings, Failure, IOFailed
from sidecars.warcopier import app, artifacts
from sidecars.warcopier.source import listing
from sidecars.warcopier.source.expected_digests import sums_path
from sidecars.warcopier.statistics import Statistics
from sidecars.warcopier.target.stager import SourceChanged
from sidecars.warcopier.tomcat_names import utf8_text
from sidecars.warcopier.transfer.progress import Stopped
from sidecars.warcopier.watch.change_events import ChangeEvents
from sidecars.warcopier.watch.settling import Settling
from sidecars.warcopier.watch.watched_directories import watched_directories

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from sidecars.chassis.runtime.health import Health
    from sidecars.chassis.runtime.lifecycle import ServiceContext
    from sidecars.warcopier.app import Outcome
    from sidecars.warcopier.settings import Settings

log = logs.get("warcopier")

_MAX_STEP = 300.0  # seconds, such as the flush of a large WAR to a slow disk; after that the thread counts as dead
SourceState = tuple[tuple[object, ...], ...]


async def run(settings: Settings, context: ServiceContext) -> None:
    """Publish, and again after every change, until a signal to stop. Raises the failure of the first run."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it would log every event
    statistics = Statistics(time.time())
    publisher = Publisher(settings, statistics, context.health)
    stop = threading.Event()
    _require_threads()
    async with admin_server.serve(settings, context.health, lambda: _metrics(statistics), publisher.status):
        work = asyncio.create_task(asyncio.to_thread(publisher.run, stop))
        signalled = asyncio.create_task(context.stopping.wait())
        await asyncio.wait({work, signalled}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        signalled.cancel()
        await work


def _metrics(statistics: Statistics) -> CollectorRegistry:
    from sidecars.warcopier.metrics import StatisticsCollector  # noqa: PLC0415 - at the first scrape

    registry = admin_server.registry()
    registry.register(StatisticsCollector(statistics))
    return registry


def _require_threads() -> None:
    try:
        threading.Thread(target=int).start()
    except RuntimeError:  # "can't start new thread" has no class of its own
        raise IOFailed(
            "WARCOPIER_WATCH=true: it works in a second thread, and there may be no more threads: raise the limit of"
            " processes (--pids-limit, podPidsLimit, RLIMIT_NPROC)",
            code="no-more-threads",
        ) from None


class Publisher:
    """Does the runs, one after the other, in a second thread. Owns their latest outcome and failure."""

    def __init__(self, settings: Settings, statistics: Statistics, health: Health) -> None:
        self._settings = settings
        self._statistics = statistics
        self._latch = health.hold("publisher", "nothing is published yet")
        self._heartbeat = health.heartbeat("publisher", _MAX_STEP)
        self._change_events = ChangeEvents(settings.watch_interval, self._heartbeat, statistics.set_polling)
        self._outcome: Outcome | None = None
        self._failure = self._waiting = ""

    def status(self) -> dict[str, object]:
        """Return the part of `/status` about the runs."""
        digests = self._outcome.sha256 if self._outcome else {}
        return {
            "artifacts": {utf8_text(name): digest for name, digest in digests.items()},
            "last_failure": self._failure,
            "waiting": self._waiting,
            "polls": bool(self._change_events.is_polling),
        }

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set. Raises the failure of the first run unless the target has good artifacts."""
        source_state, now = _source_state(self._settings), time.monotonic()
        changed = now - _age(source_state, time.time())
        settling = Settling(source_state, changed, now, careful=self._settings.validate == "none")
        retry = settling.is_due(now) and self._attempt(settling, stop)
        logged: set[str] | None = None
        while not stop.is_set():
            directories = watched_directories(self._settings)
            if directories.keys() != logged:
                log.info("watching", directories=sorted(directories))
                logged = set(directories)
            for _ in self._change_events.events(frozenset(directories), stop, settling.is_waiting):
                settling.observe(_source_state(self._settings), time.monotonic())
                if settling.is_due(time.monotonic()) or (retry and not settling.is_waiting()):
                    retry = self._attempt(settling, stop)
                elif settling.is_waiting() and not self._waiting:
                    self._waiting = "the source is being written"
                if watched_directories(self._settings) != directories:
                    break

    def _attempt(self, settling: Settling, stop: threading.Event) -> bool:
        """Do a run that may fail. Return True if another attempt makes sense although the source does not change."""
        begun = time.monotonic()
        try:
            self._publish(stop)
        except Failure as failure:
            settling.observe(_source_state(self._settings), time.monotonic())
            self._take_over()
            if self._may_be_incomplete(failure) and settling.is_changing(time.monotonic()):
                settling.wait()
                self._wait(failure)
                return False
            self._waiting = ""
            settling.settle()
            self._fail(failure, time.monotonic() - begun)
            return isinstance(failure, IOFailed)
        self._waiting = ""
        settling.settle()
        return False

    def _publish(self, stop: threading.Event) -> None:
        begun = time.monotonic()
        try:
            outcome = app.publish(self._settings, lambda: self._beat_and_check(stop))
        except Stopped:
            return
        seconds = time.monotonic() - begun
        if outcome.published or outcome.pruned or self._outcome is None or self._failure:
            app.report(outcome, seconds)
        self._outcome, self._failure = outcome, ""
        self._statistics.count_success(outcome, seconds, time.time())
        self._latch.release()

    def _take_over(self) -> None:
        """Be ready with the unchanged artifacts of earlier runs, if this process has published none yet."""
        if self._outcome is None and (earlier := app.earlier_outcome(self._settings)):
            self._outcome = earlier
            self._statistics.set_artifacts(earlier)
            self._latch.release()

    def _may_be_incomplete(self, failure: Failure) -> bool:
        """True if an incomplete source can cause the failure. At the start a source without a WAR is a real failure."""
        return isinstance(failure, (BadData, SourceChanged)) or (
            isinstance(failure, BadSettings) and self._outcome is not None
        )

    def _wait(self, failure: Failure) -> None:
        if not self._waiting:
            log.info("the source is being written: waiting until it is complete", reason=failure.reason)
        self._waiting = failure.reason

    def _beat_and_check(self, stop: threading.Event) -> bool:
        """Beat the heartbeat, and return True if the run must end. Called at every step of a run."""
        self._heartbeat.beat()
        return stop.is_set()

    def _fail(self, failure: Failure, seconds: float) -> None:
        """Count the failure, and log it once for all its attempts. Raises it if the target has no good artifacts."""
        if self._outcome is None:
            raise failure
        self._statistics.count_failure(seconds)
        if failure.reason != self._failure:
            log.error(failure.reason, code=failure.code, kept="what is published stays")
            lifecycle.write_termination_message(failure.termination_message)
        self._failure = failure.reason


def _age(source_state: SourceState, now: float) -> float:
    """Return the seconds since a source changed last, by its ctime: no program can set that back."""
    changes = [
        part.ctime_ns / artifacts.SECOND
        for one in source_state
        for part in one
        if isinstance(part, artifacts.Fingerprint)
    ]
    return max(0.0, now - max(changes, default=0.0))


def _source_state(settings: Settings) -> SourceState:
    """Return the metadata of the source: the place and the fingerprint of each WAR and each `SHA256SUMS`.

    If the source cannot be listed, the state is the reason.
    """
    try:
        found = listing.list_sources(settings)
    except Failure as failure:
        return ((failure.reason,),)
    sums = {sums_path(source): None for source in found}
    wars = [(source.name, listing.resolve_links(source.path), source.device, source.fingerprint) for source in found]
    return (*wars, *((path, _fingerprint_of(path)) for path in sums))


def _fingerprint_of(path: str) -> artifacts.Fingerprint | None:
    try:
        return artifacts.fingerprint(os.stat(path))  # noqa: PTH116 - paths are text
    except OSError:
        return None
