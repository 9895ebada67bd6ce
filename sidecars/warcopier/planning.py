"""What to do about each source, and about what earlier runs published: the target is looked at, nothing is changed."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import BadData, BadSettings, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.artifacts import ManifestEntry
from sidecars.warcopier.source.listing import ExpectedDigests
from sidecars.warcopier.target.stager import SMALL, demand_digest, open_source
from sidecars.warcopier.tomcat_names import escaped
from sidecars.warcopier.transfer.copying import BackgroundTask, are_alike, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.warcopier.archive.archive_check import ArchiveCheck
    from sidecars.warcopier.archive.verification import ArchiveSummary
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.manifest import Manifest

log = logs.get("warcopier")


class Plan:
    """Collects what is `new` (with the digest that is expected of it) and what is `kept`, by the name it has there."""

    def __init__(
        self, settings: Settings, check: ArchiveCheck, target: TargetDirectory, names: Iterable[str], known: Manifest
    ) -> None:
        self.new: list[tuple[Source, str]] = []
        self.kept: dict[str, ManifestEntry] = {}
        self._settings = settings
        self._check = check
        self._target = target
        self._known = known
        self._there = set(map(_context, names))
        self._expected = ExpectedDigests(settings)
        self._wanted: set[str] = set()
        self._twins: list[str] = []

    def decide(self, source: Source) -> None:
        """Decide. Raises BadData, BadSettings or IOFailed when the source cannot be published."""
        name = tomcat_names.exploded_directory_name(source.name) if self._settings.unpack else source.name
        if name.upper() in tomcat_names.NEVER_DEPLOYED:
            raise BadData(
                f"{escaped(source.path)}: Tomcat takes no directory of that name for an application: publish it under"
                " another name, or without WARCOPIER_UNPACK; nothing was published"
            )
        self._wanted.add(name)
        expected = self._expected.of(source)
        kept = self._kept_tree(source, name, expected) if self._settings.unpack else self._kept_file(source, expected)
        if kept:
            self.kept[name] = kept
        elif not self._is_retired(source, name):
            self._note_twin(source, name)
            self.new.append((source, expected))

    def other_forms(self) -> list[str]:
        """What an earlier run published of the same application in the other form: archive or directory."""
        return self._twins

    def to_prune(self) -> list[str]:
        """What an earlier run published and the source no longer has; only what still is what was published."""
        gone = []
        for name in sorted(self._known):
            if name in self._wanted or name in self._twins or self._target.exists(name) is False:
                continue
            if self._is_ours(name):
                gone.append(name)
            else:
                log.warning("the source no longer has it, but somebody has changed it: left alone", file=escaped(name))
        return gone

    def intact(self) -> dict[str, str]:
        """What earlier runs published and is still what was published, with its digests."""
        return {name: entry.sha256 for name, entry in sorted(self._known.items()) if self._is_ours(name)}

    def record(self, *, pruned: Iterable[str]) -> Manifest:
        """What is to be remembered but for what is published now."""
        forgotten = {*self._twins, *pruned}
        if self._settings.prune:
            forgotten |= self._known.keys() - self._wanted
        return {name: entry for name, entry in self._known.items() if name not in forgotten} | self.kept

    def summarize(self, source: Source) -> ArchiveSummary | None:
        """What the archive declares that it unpacks to; None where it stays an archive. Raises BadData or IOFailed.

        A large one is looked at all the same, where there is a check: what is no archive is not copied first.
        """
        if not self._settings.unpack and (source.fingerprint.size <= SMALL or not self._check.reads_archives):
            return None
        reader = open_source(source)
        try:
            read = io_errors.reader_of(reader, source.path)
            found = self._check.summarize(source.path, read, source.fingerprint.size, self._target.block_size())
        finally:
            os.close(reader)
        return found if self._settings.unpack else None

    # -- what is there already ----------------------------------------------------------------------------------

    def _kept_file(self, source: Source, expected: str) -> ManifestEntry | None:
        """The record's entry for a WAR that needs no copy; None for one that does."""
        present, known = self._target.present(source.name), self._known.get(source.name)
        if present is None or self._settings.overwrite == "always":
            return None
        believed = artifacts.trusted_sha256(present, known)
        if self._settings.overwrite == "never":
            found = believed or (self._sha256(source.name) or "" if self._settings.digest else "")
            return ManifestEntry(found, known.check if known and known.sha256 == found else "", present)
        if present.size != source.fingerprint.size:
            return None
        if self._settings.digest or expected:
            here, there = self._digests(source, believed)
            demand_digest(source, here, expected)
            same = here == there
        else:
            here, same = "", self._is_alike(source)
        if not same:
            return None
        if not (known and known.file == present and artifacts.has_passed(known, here, self._check.name)):
            self._examine(source)
        return ManifestEntry(
            here, self._check.name, self._target.set_mode_and_owner(source.name, self._settings) or present
        )

    def _kept_tree(self, source: Source, name: str, expected: str) -> ManifestEntry | None:
        """The same for a directory that was unpacked."""
        present, known = self._target.directory_fingerprint(name), self._known.get(name)
        if present is None:
            return None
        ours = self._is_ours(name)
        if not ours:
            self._demand_unpacked_by_tomcat(name)
        if self._settings.overwrite == "never":
            return known if known and ours else ManifestEntry("", "", present)
        if self._settings.overwrite == "always" or not known or not ours:
            return None
        reader = open_source(source)
        try:
            read = io_errors.reader_of(reader, source.path)
            here = sha256_of(read)
            demand_digest(source, here, expected)
            if here != known.sha256:
                return None
            if not artifacts.has_passed(known, here, self._check.name):
                self._check.verify_archive(source.path, read, source.fingerprint.size)
        finally:
            os.close(reader)
        return ManifestEntry(here, self._check.name, known.file)

    def _demand_unpacked_by_tomcat(self, name: str) -> None:
        has_tracker = self._target.exists(f"{name}/{tomcat_names.WAR_TRACKER}")
        place = escaped(f"{self._target.path}/{name}")
        if has_tracker is None:
            raise IOFailed(
                f"{place}: user {os.geteuid()}, group {os.getegid()} may not look into it, so nobody can tell whether"
                " Tomcat has unpacked it: run both as one user or with one fsGroup, or remove it"
            )
        if not has_tracker:
            raise IOFailed(f"{place}: neither Tomcat nor an earlier run has unpacked it: remove it")

    def _is_ours(self, name: str) -> bool:
        """True if what has the name is what an earlier run published, and no link, pipe or the like in its place."""
        known = self._known.get(name)
        if known is None:
            return False
        try:
            found = self._target.stat(name)
        except OSError:  # such as a name that is too long: others can write the record
            return False
        if found is None:
            return False
        if not tomcat_names.is_war(name):
            return stat.S_ISDIR(found.st_mode) and found.st_ino == known.file.inode
        if not stat.S_ISREG(found.st_mode):
            return False
        return artifacts.fingerprint(found) == known.file or (known.sha256 != "" and self._sha256(name) == known.sha256)

    def _is_retired(self, source: Source, name: str) -> bool:
        """Whether it is an older version that Tomcat has removed by itself. Raises when it is one that nobody knows."""
        context = tomcat_names.context_name(source.name)
        newer = tomcat_names.newer_versions(context, self._there)
        if not newer or self._settings.allow_older or context in self._there:
            return False
        if name in self._known:
            log.info(
                "an older version that is gone stays so: a newer one is there", file=escaped(name), newer=newer[-1]
            )
            return True
        asked = "WARCOPIER_VERSION" if self._settings.version is not None else escaped(source.path)
        said = f"{asked}={self._settings.version}" if self._settings.version is not None else f"{asked}: it"
        failure = BadSettings if self._settings.version is not None else BadData
        raise failure(
            f"{said} would be an older version than {escaped(newer[-1])}, which is there (Tomcat sorts versions as"
            " text), so it would not be served: raise it, or set WARCOPIER_ALLOW_OLDER=true"
        )

    def _note_twin(self, source: Source, name: str) -> None:
        twin = source.name if self._settings.unpack else tomcat_names.exploded_directory_name(source.name)
        if not self._target.exists(twin):
            return
        if self._is_ours(twin):
            self._twins.append(twin)
        elif self._settings.unpack:
            place = escaped(f"{self._target.path}/{twin}")
            raise IOFailed(
                f"{place}: Tomcat would unpack that one and not take the directory {escaped(name)}: remove it"
            )

    # -- looking at bytes ---------------------------------------------------------------------------------------

    def _digests(self, source: Source, believed: str) -> tuple[str, str | None]:
        """The digests of the source and of the file that has its name; None for one that we may not read."""
        reader = open_source(source)
        try:
            with BackgroundTask(reader, sha256_of) as digest:
                there = believed or self._sha256(source.name)
                with io_errors.reading(source.path):
                    return digest.result(), there
        finally:
            os.close(reader)

    def _sha256(self, name: str) -> str | None:
        with suppress(PermissionError), self._target.open_file(name) as present:  # another user's: it can be replaced
            return sha256_of(io_errors.reader_of(present, f"{self._target.path}/{name}"))
        return None

    def _is_alike(self, source: Source) -> bool:
        reader = open_source(source)
        try:
            with suppress(PermissionError), self._target.open_file(source.name) as present:
                read_there = io_errors.reader_of(present, f"{self._target.path}/{source.name}")
                return are_alike(io_errors.reader_of(reader, source.path), read_there)
        finally:
            os.close(reader)
        return False

    def _examine(self, source: Source) -> None:
        """Check the file that is here already and has the source's bytes. Raises BadData or IOFailed."""
        place = f"{self._target.path}/{source.name}"
        with io_errors.reading(place), self._target.open_file(source.name) as present:
            read = io_errors.reader_of(present, place)
            self._check.verify_archive(source.path, read, source.fingerprint.size)


def _context(name: str) -> tomcat_names.ContextName:
    """The context that Tomcat would give a file or directory of that name."""
    return tomcat_names.context_name(name) if tomcat_names.is_war(name) else tomcat_names.directory_context_name(name)
