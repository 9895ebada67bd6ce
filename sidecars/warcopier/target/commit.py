"""The instant of publishing: every staged artifact gets its name, and what is to go goes."""

from __future__ import annotations

from sidecars.chassis.runtime import signals
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.warcopier import artifacts, io_errors, tomcat_names
from sidecars.warcopier.tomcat_names import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecars.warcopier.artifacts import Fingerprint
    from sidecars.warcopier.target.directory import TargetDirectory
    from sidecars.warcopier.target.stager import StagedArtifact


def commit(
    target: TargetDirectory, staged: Iterable[StagedArtifact], gone: Iterable[str], committed: Callable[[], None]
) -> dict[str, Fingerprint]:
    """Give every staged artifact its name, take away what is gone, and flush. What each new one looks like now.

    Signals wait until all is done, so that being told to stop never publishes a part of a set; then it is too late for
    them (`committed`): all is published, and what is left is to say so. Raises IOFailed, which names the artifacts that
    were already published.
    """
    done: dict[str, Fingerprint] = {}
    named: list[str] = []
    with signals.block_stop():
        try:
            with io_errors.writing(target.path):
                for one in staged:
                    name = target.publish_file if tomcat_names.is_war(one.name) else target.publish_directory
                    name(one.staging, one.name)
                    named.append(one.name)
                    found = target.stat(one.name)
                    if found and found.st_ino == one.inode:  # else another run was faster than this line
                        done[one.name] = artifacts.fingerprint(found)
                for name_gone in gone:
                    target.unpublish(name_gone)
                target.flush()
        except IOFailed as failure:
            if not named:
                raise
            names = ", ".join(map(escaped, named))
            raise IOFailed(f"{failure.reason}; published before that: {names}; run again for the rest") from None
        committed()
    return done
