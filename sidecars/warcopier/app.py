"""A run: list the sources, decide about each, stage and prove all that is new, then publish all of it at once."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from sidecars.chassis.runtime import lifecycle, logs, signals
from sidecars.chassis.runtime.lifecycle import BadSettings, Failure, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass
from sidecars.warcopier.archive.archive_check import ArchiveCheck
from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry
from sidecars.warcopier.planning import Plan
from sidecars.warcopier.source import listing
from sidecars.warcopier.target import directory_swap, manifest
from sidecars.warcopier.target.commit import commit
from sidecars.warcopier.target.directory import TargetDirectory
from sidecars.warcopier.target.stager import Stager
from sidecars.warcopier.tomcat_names import MANIFEST, escaped
from sidecars.warcopier.transfer.progress import Progress, never

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.target.stager import StagedArtifact

log = logs.get("warcopier")

_UNKNOWN = Fingerprint(-1, -1, -1, -1)  # of a file that another run has replaced already: never believed
_MANY = 16  # artifacts from which on the disk is flushed once instead of for each
_TOLD = 20  # digests in the last line


@dataclass(frozen=True)
class Outcome:
    """What a run has done, by the names in the target. `copied` counts bytes of archives."""

    published: tuple[str, ...]
    kept: tuple[str, ...]
    pruned: tuple[str, ...]
    sha256: dict[str, str]
    copied: int

    def summary(self) -> str:
        counts = [f"{len(self.published)} published", f"{len(self.kept)} unchanged"]
        if self.pruned:
            counts.append(f"{len(self.pruned)} pruned")
        if not self.published and not self.pruned:
            return f"nothing to do: {len(self.kept)} unchanged"
        return ", ".join(counts)

    def digests(self) -> str:
        told = [f"{escaped(name)} sha256:{digest}" for name, digest in list(self.sha256.items())[:_TOLD] if digest]
        more = len(self.sha256) - _TOLD
        return ", ".join([*told, f"and {more} more"] if more > 0 else told)


def run(settings: Settings) -> None:
    """Publish once, and say what was done. Raises the failures of the contract; then nothing was published."""
    started = time.monotonic()
    outcome = publish(settings, committed=signals.ignore_stop)
    report(outcome, time.monotonic() - started)


def report(outcome: Outcome, seconds: float) -> None:
    """The last line, which is the termination message, too."""
    summary, digests = outcome.summary(), outcome.digests()
    log.info(summary, files=len(outcome.sha256), bytes=outcome.copied, seconds=round(seconds, 3), sha256=digests)
    lifecycle.write_termination_message(f"{summary} ({outcome.copied} bytes copied in {seconds:.3f} s): {digests}")


def publish(
    settings: Settings, stop: Callable[[], bool] = never, committed: Callable[[], None] = lambda: None
) -> Outcome:
    """One run. `stop` says whether to give up, `committed` is called once that is too late."""
    os.umask(0)  # the modes that are asked for are meant as they are
    check = ArchiveCheck(settings)
    with TargetDirectory(settings.target) as target:
        found = listing.list_sources(settings)
        _demand_elsewhere(found, target)
        names = target.names()
        known = _recorded(target)
        decisions = Plan(settings, check, target, names, known)
        for source in found:
            decisions.decide(source)
        if swept := target.remove_stale(names):
            log.info("removed what a killed run had left", files=len(swept))
        gone = decisions.to_prune() if settings.prune else []
        now_known = decisions.record(pruned=gone)
        staged = _staged(decisions, settings, check, target, stop)
        if staged or gone:
            places = commit(target, staged, [*decisions.other_forms(), *gone], committed)
            _tell(staged, gone, target, settings)
            now_known |= {
                one.name: ManifestEntry(one.sha256, check.name, places.get(one.name, _UNKNOWN)) for one in staged
            }
        if now_known != known:
            _save(now_known, target)
    published = tuple(one.name for one in staged)
    digests = {name: now_known[name].sha256 for name in sorted((*published, *decisions.kept))}
    copied = sum(one.source.fingerprint.size for one in staged)
    return Outcome(published, tuple(decisions.kept), tuple(gone), digests, copied)


def intact(settings: Settings) -> Outcome | None:
    """Return what earlier runs published and is still as they left it; None where that is nothing, or not known."""
    with suppress(Failure, OSError, ValueError), TargetDirectory(settings.target) as target:
        decisions = Plan(settings, ArchiveCheck(settings), target, target.names(), manifest.load(target.directory))
        if found := decisions.intact():
            return Outcome((), tuple(found), (), found, 0)
    return None


def _demand_elsewhere(found: list[Source], target: TargetDirectory) -> None:
    for path in {_place(source.path): source.path for source in found}.values():
        if target.contains_file(path):
            raise BadSettings(f"WARCOPIER_SOURCE and WARCOPIER_TARGET are the same place: {escaped(path)} lies in both")


def _place(path: str) -> str:
    """The directory that a file lies in, or what it leads to."""
    return os.path.dirname(listing.resolve_links(path) if os.path.islink(path) else path)  # noqa: PTH114, PTH120 - text


def _staged(
    decisions: Plan, settings: Settings, check: ArchiveCheck, target: TargetDirectory, stop: Callable[[], bool]
) -> list[StagedArtifact]:
    if not decisions.new:
        return []
    new = [(source, expected, decisions.summarize(source)) for source, expected in decisions.new]
    size = sum(found.room if found else source.fingerprint.size for source, _, found in new)
    files = sum(found.files if found else 1 for _, _, found in new)
    target.require_space(size, files, settings.reserve)
    progress = Progress(sum(2 * source.fingerprint.size for source, _, _ in new), stop)
    stager = Stager(target, settings, check, progress)
    later = settings.unpack or len(new) > _MANY
    try:
        staged = [stager.stage(source, expected, found, flush=not later) for source, expected, found in new]
    finally:
        progress.end()
    if later:
        try:
            directory_swap.sync_file_system(target.directory)
        except OSError as error:
            raise IOFailed(
                f"WARCOPIER_TARGET={escaped(settings.target)}: cannot be flushed: {error.strerror}"
            ) from None
    return staged


def _tell(staged: list[StagedArtifact], gone: list[str], target: TargetDirectory, settings: Settings) -> None:
    for one in staged:
        name, source = escaped(one.name), escaped(one.source.path)
        log.info("published", file=name, source=source, bytes=one.source.fingerprint.size, sha256=one.sha256)
        if not one.has_web_inf:
            log.warning("it has no WEB-INF: Tomcat will serve it as plain pages", file=name)
        if settings.watch and settings.unpack and target.exists(f"{one.name}/WEB-INF/web.xml") is False:
            log.warning("it has no WEB-INF/web.xml: a Tomcat that runs will not notice a later change", file=name)
        if target.is_hidden_by_directory(one.name):
            log.warning("a directory of that name, not unpacked by Tomcat, hides it", file=name)
    for name in gone:
        log.info("removed: the source no longer has it", file=escaped(name))


def _recorded(target: TargetDirectory) -> manifest.Manifest:
    try:
        return manifest.load(target.directory)
    except (OSError, ValueError) as error:
        log.warning(
            "the record of earlier runs is of no use: everything is read again", file=MANIFEST, reason=str(error)
        )
        return {}


def _save(known: manifest.Manifest, target: TargetDirectory) -> None:
    """Without its record the next run takes longer, and that is all: no reason to fail when all is published."""
    try:
        target.write(MANIFEST, manifest.render(known))
    except IOFailed as error:
        log.warning("the record could not be written: the next run will read everything again", reason=error.reason)
