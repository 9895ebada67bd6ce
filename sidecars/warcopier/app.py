"""One run: list the sources, plan, stage and verify everything that is new, then commit all of it at once.

list_sources ─▶ Plan.add, for each ─▶ remove_stale ─▶ require_space ─▶ Stager.stage, for each ─▶ commit ─▶ manifest
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from sidecars.chassis.runtime import lifecycle, logs, signals
from sidecars.chassis.runtime.lifecycle import BadSettings, Failure, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier.archive.archive_check import ArchiveCheck
from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry, name_in_target
from sidecars.warcopier.planning import Plan, contexts_of
from sidecars.warcopier.source import listing
from sidecars.warcopier.target import free_space, manifest
from sidecars.warcopier.target.commit import commit
from sidecars.warcopier.target.directory import TargetDirectory
from sidecars.warcopier.target.stager import Stager
from sidecars.warcopier.target.staging_area import StagingArea
from sidecars.warcopier.tomcat_names import MANIFEST, escaped
from sidecars.warcopier.transfer.copying import flush_file_system
from sidecars.warcopier.transfer.progress import Progress, never

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.target.manifest import Manifest
    from sidecars.warcopier.target.stager import StagedArtifact

log = logs.get("warcopier")

_UNKNOWN = Fingerprint(-1, -1, -1, -1)  # of a file that another run has replaced already: it equals no fingerprint
_MANY = 16  # artifacts; from more on, the file system is flushed once instead of each file
_MAX_DIGESTS = 20  # in the last log line


@dataclass(frozen=True)
class Outcome:
    """The result of one run, by the names in the target. `copied` is the number of bytes of archives.

    `sources` has the source of each artifact that the run looked at.
    """

    published: tuple[str, ...]
    kept: tuple[str, ...]
    pruned: tuple[str, ...]
    sha256: dict[str, str]
    copied: int
    sources: dict[str, Source]

    def summary(self) -> str:
        counts = [f"{len(self.published)} published", f"{len(self.kept)} unchanged"]
        if self.pruned:
            counts.append(f"{len(self.pruned)} pruned")
        if not self.published and not self.pruned:
            return f"nothing to do: {len(self.kept)} unchanged"
        return ", ".join(counts)

    def digests(self) -> str:
        first = list(self.sha256.items())[:_MAX_DIGESTS]
        listed = [f"{escaped(name)} sha256:{digest}" for name, digest in first if digest]
        more = len(self.sha256) - _MAX_DIGESTS
        return ", ".join([*listed, f"and {more} more"] if more > 0 else listed)


@dataclass(frozen=True)
class _Observer:
    """The observer of one run, see `publish`."""

    stop: Callable[[], bool]
    on_source: Callable[[Source, Progress | None], None]


def run(settings: Settings) -> None:
    """Publish once, and report. Raises BadSettings, BadData or IOFailed; then nothing was published."""
    started = time.monotonic()
    outcome = publish(settings, on_committed=signals.ignore_stop)
    report(outcome, time.monotonic() - started)


def report(outcome: Outcome, seconds: float) -> None:
    """Write the outcome as the last log line and as the termination message."""
    summary, digests = outcome.summary(), outcome.digests()
    log.info(summary, files=len(outcome.sha256), bytes=outcome.copied, seconds=round(seconds, 3), sha256=digests)
    lifecycle.write_termination_message(f"{summary} ({outcome.copied} bytes copied in {seconds:.3f} s): {digests}")


def publish(
    settings: Settings,
    stop: Callable[[], bool] = never,
    on_committed: Callable[[], None] = lambda: None,
    on_source: Callable[[Source, Progress | None], None] = lambda _source, _progress: None,
) -> Outcome:
    """Do one run. `stop` returns True if the run must end. `on_committed` is called when it can no longer be stopped.

    `on_source` is called for each source that is compared with the target, and again, with the progress of the run, if
    it is copied.

    Raises BadSettings, BadData, IOFailed or Stopped.
    """
    os.umask(0)  # the modes in the settings are exact
    check = ArchiveCheck(settings)
    with TargetDirectory(settings.target) as target, StagingArea(target) as area:
        sources = listing.list_sources(settings)
        _require_elsewhere(sources, target)
        names = target.names()
        old_manifest = _load_manifest(target, area)
        plan = Plan(settings, check, target, contexts_of(names, sources), old_manifest, area.is_own_user)
        for source in sources:
            on_source(source, None)
            plan.add(source)
        if stale := area.remove_stale(names):
            log.info("removed the files of a killed run", files=len(stale))
        pruned = plan.to_prune() if settings.prune else []
        new_manifest = plan.next_manifest(pruned=pruned)
        staged, found = _stage(plan, settings, check, target, area, _Observer(stop, on_source)), {}
        superseded = [*plan.other_forms(), *pruned]
        if staged or superseded:
            found = commit(target, area, staged, superseded, on_committed)
            _log_changes(staged, pruned, target, settings)
            for one in staged:
                new_manifest[one.name] = ManifestEntry(one.sha256, check.name, found.get(one.name, _UNKNOWN))
        if new_manifest != old_manifest:
            _save_manifest(target, area, new_manifest)
        plan.require_published([one for one in staged if one.name not in found])
    published = tuple(one.name for one in staged)
    digests = {
        name: "" if name in plan.without_digest else new_manifest[name].sha256
        for name in sorted((*published, *plan.kept))
    }
    copied = sum(one.source.fingerprint.size for one in staged)
    by_name = {name_in_target(source, unpack=settings.unpack): source for source in sources}
    return Outcome(published, tuple(plan.kept), tuple(pruned), digests, copied, by_name)


def earlier_outcome(settings: Settings) -> Outcome | None:
    """Return the unchanged artifacts that earlier runs published; None if there is none, or on any failure."""
    with (
        suppress(Failure, OSError, ValueError),
        TargetDirectory(settings.target) as target,
        StagingArea(target) as area,
    ):
        known = manifest.load(target.root, area.is_own_user)
        plan = Plan(settings, ArchiveCheck(settings), target, set(), known, area.is_own_user)
        if found := plan.intact():
            return Outcome((), tuple(found), (), found, 0, {})
    return None


def _require_elsewhere(sources: list[Source], target: TargetDirectory) -> None:
    """Raise BadSettings if a source lies in the target."""
    for path in {_real_directory(source.path): source.path for source in sources}.values():
        if target.contains_file(path):
            raise BadSettings(
                f"WARCOPIER_SOURCE and WARCOPIER_TARGET are the same place: {escaped(path)} lies in both",
                code="source-in-target",
            )


def _real_directory(path: str) -> str:
    """Return the directory of a file, or of the destination of a link."""
    return os.path.dirname(listing.resolve_links(path) if os.path.islink(path) else path)  # noqa: PTH114, PTH120 - text


def _stage(
    plan: Plan,
    settings: Settings,
    check: ArchiveCheck,
    target: TargetDirectory,
    area: StagingArea,
    observer: _Observer,
) -> list[StagedArtifact]:
    """Stage every source of the plan, and flush. Raises BadData, IOFailed or Stopped."""
    if not plan.to_stage:
        return []
    new = [(source, expected, plan.summarize(source)) for source, expected in plan.to_stage]
    size = sum(summary.disk_size if summary else source.fingerprint.size for source, _, summary in new)
    files = sum(summary.files if summary else 1 for _, _, summary in new)
    free_space.require_space(target, size, files, settings.reserve)
    progress = Progress(sum(2 * source.fingerprint.size for source, _, _ in new), observer.stop)
    stager = Stager(target, area, settings, check, progress)
    flush_once = settings.unpack or len(new) > _MANY
    staged = []
    try:
        for source, expected, summary in new:
            observer.on_source(source, progress)
            staged.append(stager.stage(source, expected, summary, flush=not flush_once))
    finally:
        progress.end()
    if flush_once:
        try:
            flush_file_system(target.descriptor)
        except OSError as error:
            raise IOFailed(
                f"WARCOPIER_TARGET={escaped(settings.target)}: cannot be flushed: {error.strerror}",
                code="target-not-flushed",
            ) from None
    return staged


def _log_changes(staged: list[StagedArtifact], pruned: list[str], target: TargetDirectory, settings: Settings) -> None:
    for one in staged:
        name, source = escaped(one.name), escaped(one.source.path)
        log.info("published", file=name, source=source, bytes=one.source.fingerprint.size, sha256=one.sha256)
        if not one.has_web_inf:
            log.warning("it has no WEB-INF: Tomcat will serve it as plain pages", code="no-web-inf", file=name)
        if settings.watch and settings.unpack and target.exists(f"{one.name}/WEB-INF/web.xml") is False:
            log.warning(
                "it has no WEB-INF/web.xml: a Tomcat that runs will not notice a later change",
                code="no-web-xml",
                file=name,
            )
        if target.is_hidden_by_directory(one.name):
            log.warning(
                "a directory of that name, not unpacked by Tomcat, hides it", code="hidden-by-directory", file=name
            )
    for name in pruned:
        log.info("removed: the source no longer has it", file=escaped(name))


def _load_manifest(target: TargetDirectory, area: StagingArea) -> Manifest:
    try:
        return manifest.load(target.root, area.is_own_user)
    except (OSError, ValueError) as error:
        log.warning(
            "the manifest is not valid: everything is read again",
            code="manifest-not-valid",
            file=MANIFEST,
            reason=str(error),
        )
        return {}


def _save_manifest(target: TargetDirectory, area: StagingArea, new: Manifest) -> None:
    """Save the manifest. A failure is only a warning: everything is published, and the next run just takes longer."""
    try:
        manifest.save(target, area, new)
    except IOFailed as error:
        log.warning(
            "the manifest could not be written: the next run will read everything again",
            code="manifest-not-written",
            reason=error.reason,
        )
