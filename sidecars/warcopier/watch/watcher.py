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
from typing import TYPE_CHECKING, Any

from sidecars.chassis import admin_server
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.lifecycle import BadData, BadSettings, Failure, IOFailed
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.warcopier import app, artifacts, tomcat_names
from sidecars.warcopier.archive.archive_check import ArchiveCheck
from sidecars.warcopier.contents import TargetContents
from sidecars.warcopier.source import listing
from sidecars.warcopier.source.expected_digests import sums_path
from sidecars.warcopier.statistics import Statistics
from sidecars.warcopier.target.directory import TargetDirectory
from sidecars.warcopier.target.stager import SourceChanged
from sidecars.warcopier.tomcat_names import utf8_text
from sidecars.warcopier.transfer.progress import Stopped
from sidecars.warcopier.watch.change_events import ChangeEvents
from sidecars.warcopier.watch.deployments import Deployments
from sidecars.warcopier.watch.settling import Settling
from sidecars.warcopier.watch.watched_directories import watched_directories

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from sidecars.chassis.page.picture import Picture
    from sidecars.chassis.runtime.health import Health
    from sidecars.chassis.runtime.lifecycle import ServiceContext
    from sidecars.warcopier.app import Outcome
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.transfer.progress import Progress

log = logs.get("warcopier")

_MAX_STEP = 300.0  # seconds, such as the flush of a large WAR to a slow disk; after that the thread counts as dead
SourceState = tuple[tuple[object, ...], ...]


async def run(settings: Settings, context: ServiceContext) -> None:
    """Publish, and again after every change, until a signal to stop. Raises the failure of the first run."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it would log every event
    statistics = Statistics(time.time())
    publisher = Publisher(settings, statistics, context.health)
    stop = threading.Event()
    async with admin_server.serve(
        settings, context.health, lambda: _metrics(statistics), publisher.status, picture=_picture
    ):
        work = _begin(publisher, stop)
        signalled = asyncio.create_task(context.stopping.wait())
        ends: list[asyncio.Future[Any]] = [work, signalled]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        signalled.cancel()
        await work


def _metrics(statistics: Statistics) -> CollectorRegistry:
    from sidecars.warcopier.metrics import StatisticsCollector  # noqa: PLC0415 - at the first scrape

    registry = admin_server.registry()
    registry.register(StatisticsCollector(statistics))
    return registry


def _picture() -> Picture:
    """Import the picture: it costs nothing until somebody looks at the page."""
    from sidecars.warcopier.picture import PICTURE  # noqa: PLC0415 - see above

    return PICTURE


def _begin(publisher: Publisher, stop: threading.Event) -> asyncio.Future[None]:
    """Let the publisher run in a second thread. Raises IOFailed if there can be none.

    No other thread is started before, as a trial: at a limit of two it could still be there.
    """
    try:
        return asyncio.get_running_loop().run_in_executor(None, publisher.run, stop)
    except RuntimeError:  # "can't start new thread" has no class of its own
        raise IOFailed(
            "WARCOPIER_WATCH=true: it works in a second thread, and there may be no more threads: raise the limit of"
            " processes (--pids-limit, podPidsLimit, RLIMIT_NPROC)",
            code="no-more-threads",
        ) from None


@dataclass(frozen=True)
class Work:
    """The source that a run works on. `progress` is that of the run; None while the source is compared."""

    source: Source
    name: str
    progress: Progress | None

    def status_page(self) -> dict[str, object]:
        """Return the work's part of `/status`. The bytes of a copy are done twice: they are verified, too."""
        size = self.source.fingerprint.size
        done, seconds = self.progress.of_step() if self.progress else (0, 0.0)
        if self.progress is None:
            phase = "comparing"
        elif not tomcat_names.is_war(self.name):
            phase = "unpacking"  # its bytes are those that were written, and may be more than those of the archive
        else:
            phase = "verifying" if done > size else "copying"
        return {
            "artifact": utf8_text(self.name),
            "source": utf8_text(self.source.path),
            "phase": phase,
            "bytes": min(done - size, size) if phase == "verifying" else done,
            "of_bytes": size,
            "bytes_per_second": round(done / seconds) if seconds else 0,
        }


class Publisher:
    """Does the runs, one after the other, in a second thread. Owns their latest outcome and failure."""

    def __init__(self, settings: Settings, statistics: Statistics, health: Health) -> None:
        self._settings = settings
        self._statistics = statistics
        self._latch = health.hold("publisher", "nothing is published yet")
        self._heartbeat = health.heartbeat("publisher", _MAX_STEP)
        self._change_events = ChangeEvents(settings.watch_interval, self._heartbeat, statistics.set_polling)
        self._deployments = Deployments()
        self._outcome: Outcome | None = None
        self._failure = self._waiting = ""
        self._work: Work | None = None  # of the run that is going on
        self._last_run: tuple[str, float, float] | None = None  # result, duration, and when it ended

    def status(self) -> dict[str, object]:
        """Return the part of `/status` about the runs."""
        digests = self._outcome.sha256 if self._outcome else {}
        return {
            "artifacts": {utf8_text(name): digest for name, digest in digests.items()},
            "deployments": self._deployments.status_page(time.time()),
            "deployments_left_out": self._deployments.left_out,
            "copying": self._work.status_page() if self._work else None,
            "next_look_seconds": self._next_look(),
            "last_run": self._last_run_page(),
            "last_failure": self._failure,
            "waiting": self._waiting,
            "polls": bool(self._change_events.is_polling),
        }

    def _next_look(self) -> float | None:
        """Return the seconds until the source is looked at in any case; None while a run looks at it."""
        due = self._change_events.next_look
        return None if self._work or due is None else round(max(0.0, due - time.monotonic()), 1)

    def _last_run_page(self) -> dict[str, object] | None:
        if self._last_run is None:
            return None
        result, seconds, ended = self._last_run
        age = round(max(0.0, time.monotonic() - ended), 1)
        return {"result": result, "duration_seconds": round(seconds, 3), "age_seconds": age}

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
        begun, self._work = time.monotonic(), None
        try:
            self._publish(stop)
        except Failure as failure:
            refused, self._work = self._work, None
            settling.observe(_source_state(self._settings), time.monotonic())
            self._take_over()
            if self._may_be_incomplete(failure) and settling.is_changing(time.monotonic()):
                settling.wait()
                self._wait(failure)
                return False
            self._waiting = ""
            settling.settle()
            self._fail(failure, time.monotonic() - begun, refused)
            return isinstance(failure, IOFailed)
        self._waiting = ""
        settling.settle()
        return False

    def _publish(self, stop: threading.Event) -> None:
        begun = time.monotonic()
        try:
            outcome = app.publish(self._settings, lambda: self._beat_and_check(stop), on_source=self._begin_work)
        except Stopped:
            self._work = None
            return
        seconds = time.monotonic() - begun
        if outcome.published or outcome.pruned or self._outcome is None or self._failure:
            app.report(outcome, seconds)
        self._outcome, self._failure, self._work = outcome, "", None
        self._note_deployments(outcome)
        self._last_run = (outcome.summary(), seconds, time.monotonic())
        self._statistics.count_success(outcome, seconds, time.time())
        self._latch.release()

    def _take_over(self) -> None:
        """Be ready with the unchanged artifacts of earlier runs, if this process has published none yet."""
        if self._outcome is None and (earlier := app.earlier_outcome(self._settings)):
            self._outcome = earlier
            self._note_deployments(earlier)
            self._statistics.set_artifacts(earlier)
            self._latch.release()

    def _begin_work(self, source: Source, progress: Progress | None) -> None:
        self._work = Work(source, artifacts.name_in_target(source, unpack=self._settings.unpack), progress)

    def _note_deployments(self, outcome: Outcome) -> None:
        """Note the artifacts of an outcome, with the versions that those which are new state of themselves."""
        try:
            with TargetDirectory(self._settings.target) as target:
                contents = TargetContents(target, ArchiveCheck(self._settings))
                self._deployments.succeeded(outcome, contents.version, time.time())
        except IOFailed:  # the target has gone: the next run tells it
            self._deployments.succeeded(outcome, lambda _name: "", time.time())

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

    def _fail(self, failure: Failure, seconds: float, work: Work | None) -> None:
        """Count the failure, and log it once for all its attempts. Raises it if the target has no good artifacts.

        `work` is the step of the run: a source that is no good is refused.
        """
        if self._outcome is None:
            raise failure
        if work is not None:
            self._deployments.refused(work.name, work.source, failure.reason, time.time())
        self._last_run = ("failed", seconds, time.monotonic())
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
