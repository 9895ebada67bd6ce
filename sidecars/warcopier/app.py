"""The run: list the sources, decide about each, stage and prove all that is new, then publish all of it at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from chassis import lifecycle, logs
from chassis.lifecycle import BadSettings, IOFailed
from sidecars.warcopier import plan, record, sources
from sidecars.warcopier.archive import Contents, Limits, Read, examine
from sidecars.warcopier.naming import RECORD, shown
from sidecars.warcopier.plan import Fingerprint, Published, Source, Step
from sidecars.warcopier.publish import Examine, Target
from sidecars.warcopier.settings import Settings

log = logs.get("warcopier")

_UNKNOWN = Fingerprint(-1, -1, -1, -1)  # of a file that another run has replaced already: never believed


def run(settings: Settings) -> None:
    """Publish, and say what was done. Raises the failures of the contract; then nothing was published."""
    started = time.monotonic()
    with Target(settings.target) as target:
        found = sources.listed(settings.source)
        _demand_elsewhere(found, target)
        done = _publish(_Check(settings), found, target)
    _report(done, time.monotonic() - started)


def _demand_elsewhere(found: list[Source], target: Target) -> None:
    for source in found:
        if target.is_where(source):
            raise BadSettings(
                f"WARCOPIER_SOURCE and WARCOPIER_TARGET are the same place: {shown(source.path)} lies in both"
            )


class _Check:
    """The check that is asked for: what it does, and its name in the record."""

    def __init__(self, settings: Settings) -> None:
        self.limits = Limits(settings.max_entries, settings.max_unpacked_size, settings.max_ratio)
        self.wanted = settings.validate
        limits = f" {self.limits.entries} {self.limits.unpacked} {self.limits.ratio}" if self.wanted != "none" else ""
        self.name = f"{self.wanted}{limits}"

    def examine(self, read: Read, size: int) -> Contents | None:
        if self.wanted == "none":
            return None
        return examine(read, size, self.limits, safe_names=self.wanted == "war")


@dataclass(slots=True)
class _Done:
    """What the run has done, by the names in the target."""

    published: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)
    copied: int = 0  # bytes


def _publish(check: _Check, found: list[Source], target: Target) -> _Done:
    known = _recorded(target)
    now_known = dict(known)
    done = _Done()
    new: list[Source] = []
    for source in found:
        entry = _already_there(source, target, known.get(source.name), check)
        if entry:
            now_known[source.name] = entry
            done.unchanged.append(source.name)
        else:
            new.append(source)
    if swept := target.sweep():
        log.info("removed what a killed run had left", files=len(swept))
    if new:
        now_known |= _stage_and_commit(new, target, check, done)
    if now_known != known:
        _save(now_known, target)
    done.sha256 = {source.name: now_known[source.name].sha256 for source in found}
    return done


def _already_there(source: Source, target: Target, known: Published | None, check: _Check) -> Published | None:
    """The record's entry for a WAR that needs no copy; None for one that does."""
    present = target.present(source.name)
    if present is None or plan.first_step(source.fingerprint.size, present) is Step.COPY:
        return None
    here, there = target.digests(source, plan.believed_sha256(present, known))
    if there is None:
        return None
    step = plan.second_step(here, there, known, check.name)
    if step is Step.COPY:
        return None
    if step is Step.CHECK:
        target.check(source, check.examine)
    return Published(there, check.name, present)


def _stage_and_commit(new: list[Source], target: Target, check: _Check, done: _Done) -> dict[str, Published]:
    target.demand_space(sum(source.fingerprint.size for source in new), len(new))
    wanted: Examine = check.examine
    staged = [target.stage(source, wanted, time.time_ns()) for source in new]
    places: dict[str, Fingerprint] = target.commit(staged)
    published: dict[str, Published] = {}
    for one in staged:
        name, size = one.source.name, one.source.fingerprint.size
        log.info("published", file=shown(name), source=shown(one.source.path), bytes=size, sha256=one.sha256)
        if one.contents and not one.contents.has_web_inf:
            log.warning("it has no WEB-INF: Tomcat will serve it as plain pages", file=shown(name))
        if target.is_shadowed(name):
            log.warning("a directory of that name, not unpacked by Tomcat, hides it", file=shown(name))
        done.published.append(name)
        done.copied += size
        published[name] = Published(one.sha256, check.name, places.get(name, _UNKNOWN))
    return published


def _recorded(target: Target) -> record.Record:
    try:
        return record.load(target.directory)
    except (OSError, ValueError) as error:
        log.warning("the record of earlier runs is of no use: everything is read again", file=RECORD, reason=str(error))
        return {}


def _save(known: record.Record, target: Target) -> None:
    """Without its record the next run takes longer, and that is all: no reason to fail when all is published."""
    try:
        target.write(RECORD, record.render(known))
    except IOFailed as error:
        log.warning("the record could not be written: the next run will read everything again", reason=error.reason)


def _report(done: _Done, seconds: float) -> None:
    """The last line, which is the termination message, too."""
    digests = ", ".join(f"{shown(name)} sha256:{digest}" for name, digest in done.sha256.items())
    if done.published:
        summary = f"{len(done.published)} published, {len(done.unchanged)} unchanged"
    else:
        summary = f"nothing to do: {len(done.unchanged)} unchanged"
    log.info(summary, files=len(done.sha256), bytes=done.copied, seconds=round(seconds, 3), sha256=digests)
    lifecycle.write_termination(f"{summary} ({done.copied} bytes copied in {seconds:.3f} s): {digests}")
