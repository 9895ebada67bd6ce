"""The plan of a run: the sources to stage, the artifacts to keep, and the artifacts of earlier runs to remove.

The target is only read here. The one exception is a kept WAR whose mode or owner differs from the settings: these are
set at once, which Tomcat does not notice.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.lifecycle import BadData, BadSettings, Failure, IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.artifacts import ManifestEntry
from sidecars.warcopier.contents import TargetContents
from sidecars.warcopier.source import listing
from sidecars.warcopier.source.expected_digests import ExpectedDigests, require_digest
from sidecars.warcopier.source.opening import open_source
from sidecars.warcopier.target import free_space
from sidecars.warcopier.target.directory import is_unpacked
from sidecars.warcopier.target.stager import SMALL
from sidecars.warcopier.tomcat_names import escaped
from sidecars.warcopier.transfer.copying import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecars.warcopier.archive.archive_check import ArchiveCheck
    from sidecars.warcopier.archive.verification import ArchiveSummary
    from sidecars.warcopier.artifacts import Source
    from sidecars.warcopier.settings import Settings
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.manifest import Manifest
    from sidecars.warcopier.target.stager import StagedArtifact
    from sidecars.warcopier.tomcat_names import ContextName

log = logs.get("warcopier")


class Plan:
    """The plan of one run. `to_stage` has each source to publish with its expected digest ("" if there is none);
    `kept` has the manifest entry of each artifact that stays, by its name in the target. `without_digest` has the names
    of those that are not as in the source, or were not compared: no digest is stated of them.
    """

    def __init__(
        self,
        settings: Settings,
        check: ArchiveCheck,
        target: TargetDirectory,
        contexts: set[ContextName],
        manifest: Manifest,
        is_own_user: Callable[[int], bool],
    ) -> None:
        """`contexts` are those in the target (`contexts_of`), `manifest` is that of earlier runs.

        `is_own_user` returns True for the user to whom our new files belong.
        """
        self.to_stage: list[tuple[Source, str]] = []
        self.kept: dict[str, ManifestEntry] = {}
        self.without_digest: set[str] = set()
        self._settings = settings
        self._check = check
        self._target = target
        self._contents = TargetContents(target, check)
        self._manifest = manifest
        self._is_own_user = is_own_user
        self._contexts = contexts
        self._expected_digests = ExpectedDigests(settings)
        self._selected: set[str] = set()
        self._other_forms: list[str] = []

    def add(self, source: Source) -> None:
        """Decide whether to stage the source. Raises BadData, BadSettings or IOFailed if it cannot be published."""
        unpack = self._settings.unpack
        name = artifacts.name_in_target(source, unpack=unpack)
        if name.upper() in tomcat_names.NEVER_DEPLOYED:
            raise BadData(
                f"{escaped(source.path)}: Tomcat deploys no directory of that name: publish it under another"
                " name, or without WARCOPIER_UNPACK; nothing was published",
                code="name-never-deployed",
            )
        self._selected.add(name)
        expected = self._expected_digests.of(source)
        entry = self._kept_directory(source, name, expected) if unpack else self._kept_war(source, expected)
        if entry:
            self.kept[name] = entry
        elif self._is_undeployed_version(source, name):
            return
        else:
            self.to_stage.append((source, expected))
        self._note_other_form(source, name)

    def other_forms(self) -> list[str]:
        """Return the artifacts to remove because the same application is published in the other form.

        The forms are WAR and exploded directory. Only artifacts that an earlier run published are listed.
        """
        return self._other_forms

    def to_prune(self) -> list[str]:
        """Return the artifacts that earlier runs published, that the source no longer has, and that are unchanged."""
        gone = []
        for name in sorted(self._manifest):
            if name in self._selected or name in self._other_forms or self._target.exists(name) is False:
                continue
            if self._is_as_published(name):
                gone.append(name)
            else:
                log.warning(
                    "the source no longer has it, but it was changed since: it is not removed",
                    code="changed-since-published",
                    file=escaped(name),
                )
        return gone

    def intact(self) -> dict[str, str]:
        """Return the digests of the artifacts that earlier runs published and that are unchanged.

        That of a directory is "": without its archive, which is not there or not good, nothing can be compared.
        """
        found = {}
        for name, entry in sorted(self._manifest.items()):
            if self._is_as_published(name):
                sha256 = entry.sha256 if tomcat_names.is_war(name) else ""
                if not self._settings.require_sha256 or sha256 in self._known_digests():
                    found[name] = sha256
        return found

    def next_manifest(self, *, pruned: Iterable[str]) -> Manifest:
        """Return the manifest after this run, without the artifacts that it publishes."""
        removed = {*self._other_forms, *pruned}
        if self._settings.prune:
            removed |= self._manifest.keys() - self._selected
        return {name: entry for name, entry in self._manifest.items() if name not in removed} | self.kept

    def summarize(self, source: Source) -> ArchiveSummary | None:
        """Return the summary of an archive that is to be unpacked; None for a WAR. Raises BadData or IOFailed.

        The central directory of a large WAR is read, too, if it is checked: a bad one is refused before it is copied.
        """
        is_large = source.fingerprint.size > SMALL
        if not self._settings.unpack and not (is_large and self._check.reads_archives):
            return None
        reader = open_source(source)
        try:
            read = io_errors.range_reader(reader, source.path)
            block = free_space.block_size(self._target)
            summary = self._check.summarize(source.path, read, source.fingerprint.size, block)
        finally:
            os.close(reader)
        return summary if self._settings.unpack else None

    def require_published(self, replaced: Iterable[StagedArtifact]) -> None:
        """Require that the artifacts, in whose place is something else than what was staged, have the same contents.

        Another run may have published them at this moment, too. Raises IOFailed, or BadData.
        """
        for one in replaced:
            if not self._contents.is_published(one.source, one.name, one.sha256):
                place = escaped(f"{self._target.path}/{one.name}")
                raise IOFailed(
                    f"{place}: something else took its place as it was published; run again", code="target-taken"
                )

    # -- the artifacts in the target -------------------------------------------------------------------------------

    def _kept_war(self, source: Source, expected: str) -> ManifestEntry | None:
        """Return the manifest entry of a WAR that need not be copied; None if it must be."""
        present, entry = self._target.file_fingerprint(source.name), self._manifest.get(source.name)
        if present is None or self._settings.overwrite == "always":
            return None
        if self._settings.overwrite == "never":
            most = max(source.fingerprint.size, self._settings.max_unpacked_size)
            sha256 = self._contents.sha256(source.name, most) if self._settings.digest else ""
            return ManifestEntry(sha256, entry.check if entry and entry.sha256 == sha256 else "", present)
        if present.size != source.fingerprint.size:
            return None
        if self._settings.digest or expected:
            sha256, target_sha256 = self._contents.digests(source)
            require_digest(source, sha256, expected)
            same = sha256 == target_sha256
        else:
            sha256, same = "", self._contents.is_equal(source)
        if not same:
            return None
        if not (entry and entry.file == present and artifacts.has_passed(entry, sha256, self._check.name)):
            self._contents.verify(source)
        present = self._target.set_mode_and_owner(source.name, present, self._settings) or present
        return ManifestEntry(sha256, self._check.name, present)

    def _kept_directory(self, source: Source, name: str, expected: str) -> ManifestEntry | None:
        """Return the manifest entry of an exploded directory that need not be replaced; None if it must be."""
        present, entry = self._target.directory_fingerprint(name), self._manifest.get(name)
        if present is None:
            return None
        published = self._is_as_published(name)
        if not published:
            self._require_unpacked_by_tomcat(name)
        if self._settings.overwrite == "never":
            self.without_digest.add(name)
            return entry if entry and published else ManifestEntry("", "", present)
        if self._settings.overwrite == "always" or not entry or not published:
            return None
        reader = open_source(source)
        try:
            read = io_errors.range_reader(reader, source.path)
            sha256 = sha256_of(read)
            require_digest(source, sha256, expected)
            if sha256 != entry.sha256:
                return None
            if difference := self._contents.difference(source, read, name):
                if expected:
                    log.warning(
                        "it differs from the archive: it is replaced",
                        code="differs-and-is-replaced",
                        file=escaped(name),
                        first=difference,
                    )
                    return None
                log.warning(
                    "it differs from the archive, and stays",
                    code="differs-and-stays",
                    file=escaped(name),
                    first=difference,
                )
                self.without_digest.add(name)
        finally:
            os.close(reader)
        return ManifestEntry(sha256, self._check.name, entry.file)

    def _require_unpacked_by_tomcat(self, name: str) -> None:
        place = escaped(f"{self._target.path}/{name}")
        try:
            if is_unpacked(self._target.root, name):
                return
        except OSError:  # Tomcat as root unpacks into directories that other users may not enter (mode 0750)
            raise IOFailed(
                f"{place}: user {os.geteuid()}, group {os.getegid()} may not look into it, so it is unknown whether"
                " Tomcat has unpacked it: run both as one user or with one fsGroup, or remove it",
                code="target-directory-unreadable",
            ) from None
        raise IOFailed(
            f"{place}: neither Tomcat nor an earlier run has unpacked it: remove it", code="target-directory-foreign"
        )

    def _is_as_published(self, name: str) -> bool:
        """True if an earlier run published this artifact and it is unchanged, with no link or pipe in its place.

        The manifest alone shows nothing. An artifact is ours by its user, a WAR by its bytes, and a directory by the
        tracker of ours in it, too.
        """
        entry = self._manifest.get(name)
        try:
            found = self._target.stat(name)
            if entry is None or found is None or not self._is_ours(found.st_uid):
                return False
            if not tomcat_names.is_war(name):
                return found.st_ino == entry.file.inode and is_unpacked(self._target.root, name)
        except OSError:  # such as a directory that we may not look into
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.file.size:
            return False
        if entry.sha256:
            return self._contents.sha256(name, entry.file.size) == entry.sha256
        return artifacts.fingerprint(found) == entry.file

    def _is_ours(self, user: int) -> bool:
        """True if an artifact of this user may be one that an earlier run published. Raises OSError."""
        return user == (self._settings.owner or (None,))[0] or self._is_own_user(user)

    def _known_digests(self) -> set[str]:
        """Return the digests that the sources must have, as far as they are known although a source is missing."""
        if self._settings.sha256:
            return {self._settings.sha256}
        found = set()
        with suppress(Failure):
            for source in listing.list_sources(self._settings):
                with suppress(Failure):
                    found.add(self._expected_digests.of(source))
        return found - {""}

    def _is_undeployed_version(self, source: Source, name: str) -> bool:
        """True if the source is an older version that an earlier run published and Tomcat has removed since.

        Raises BadSettings or BadData if it is an older version that no earlier run published.
        """
        context = tomcat_names.context_name(source.name)
        newer = tomcat_names.newer_versions(context, self._contexts)
        if not newer or self._settings.allow_older or context in self._contexts:
            return False
        if name in self._manifest:
            log.info("an older version that was removed is not published again", file=escaped(name), newer=newer[-1])
            return True
        older = f"would be an older version than {escaped(newer[-1])}, which is in the target"
        remedy = (
            "(Tomcat sorts versions as text), so it would not be served: raise it, or set WARCOPIER_ALLOW_OLDER=true"
        )
        if self._settings.version is not None:
            raise BadSettings(f"WARCOPIER_VERSION={self._settings.version} {older} {remedy}", code="older-version")
        raise BadData(f"{escaped(source.path)}: it {older} {remedy}", code="older-version")

    def _note_other_form(self, source: Source, name: str) -> None:
        """Note the same application in the other form, if an earlier run published it. Raises IOFailed.

        A kept artifact may have one, too: from a run that was killed after its rename and before the removal.
        """
        other = source.name if self._settings.unpack else tomcat_names.exploded_directory_name(source.name)
        if self._is_as_published(other):
            self._other_forms.append(other)
        elif self._settings.unpack and name not in self.kept and self._target.exists(other):
            place = escaped(f"{self._target.path}/{other}")
            raise IOFailed(
                f"{place}: Tomcat would unpack that one and not take the directory {escaped(name)}: remove it",
                code="other-form-present",
            )


def contexts_of(names: Iterable[str], sources: Iterable[Source]) -> set[ContextName]:
    """Return the contexts in the target that have the path of a source. A neighbour may plant any number of others."""
    paths = {tomcat_names.context_name(source.name).path for source in sources}
    return {context for context in map(_context_name, names) if context.path in paths}


def _context_name(name: str) -> ContextName:
    """Return the context that Tomcat would give a file or directory of that name."""
    return tomcat_names.context_name(name) if tomcat_names.is_war(name) else tomcat_names.directory_context_name(name)
