"""The instant of publishing: every staged artifact gets its name, and what is to go goes."""

from __future__ import annotations

from chassis import signals
from chassis.frozen import TYPE_CHECKING
from chassis.lifecycle import IOFailed
from sidecars.warcopier import failures, naming, plan
from sidecars.warcopier.naming import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecars.warcopier.plan import Fingerprint
    from sidecars.warcopier.staging import Staged
    from sidecars.warcopier.target import Target


def commit(
    target: Target, staged: Iterable[Staged], gone: Iterable[str], committed: Callable[[], None]
) -> dict[str, Fingerprint]:
    """Give every staged artifact its name, take away what is gone, and flush. What each new one looks like now.

    Signals wait until all is done, so that being told to stop never publishes a part of a set; then it is too late for
    them (`committed`): all is published, and what is left is to say so. Raises IOFailed, which names the artifacts that
    were already published.
    """
    done: dict[str, Fingerprint] = {}
    named: list[str] = []
    with signals.waiting():
        try:
            with failures.writing(target.path):
                for one in staged:
                    name = target.name_file if naming.is_war(one.name) else target.name_tree
                    name(one.staging, one.name)
                    named.append(one.name)
                    found = target.stat(one.name)
                    if found and found.st_ino == one.inode:  # else another run was faster than this line
                        done[one.name] = plan.fingerprint(found)
                for name_gone in gone:
                    target.take_away(name_gone)
                target.flush()
        except IOFailed as failure:
            if not named:
                raise
            names = ", ".join(map(shown, named))
            raise IOFailed(f"{failure.reason}; published before that: {names}; run again for the rest") from None
        committed()
    return done
