"""The artifacts as people see them: where each came from, its version, and whether it is deployed or refused. No I/O.

The states of an artifact:

| state | meaning |
|---|---|
| deployed | this process published it |
| verified | it was there: an earlier run published it, or nothing differed from the source |
| rolled back | this process published it, and what it published is what it had replaced before |
| refused | the last run failed because of this source; what is published under the name stays |
| removed | the source no longer has it, and WARCOPIER_PRUNE is set |

The publisher's thread writes, and the admin server's reads: each record is replaced as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecars.chassis.runtime.light_dataclasses import dataclass, replace
from sidecars.warcopier import artifacts
from sidecars.warcopier.tomcat_names import utf8_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidecars.warcopier.app import Outcome
    from sidecars.warcopier.artifacts import Source

_REMEMBERED = 8  # digests of an artifact that were replaced
MOST = artifacts.MOST_SHOWN
"""Artifacts of a run that are listed. Others are counted."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One artifact. `since` is the Unix time at which it got its state; `replaced` are digests, the oldest first."""

    name: str
    state: str
    since: float
    sha256: str = ""
    version: str = ""
    source: Source | None = None
    refused: str = ""
    replaced: tuple[str, ...] = ()

    def status_page(self, now: float) -> dict[str, Any]:
        source = self.source
        changed = max(source.fingerprint.mtime_ns, source.fingerprint.ctime_ns) / artifacts.SECOND if source else None
        return {
            "state": self.state,
            "since_seconds": round(max(0.0, now - self.since), 1),
            "sha256": self.sha256,
            "version": self.version,
            "bytes": source.fingerprint.size if source else None,
            "source": utf8_text(source.path) if source else "",
            "source_age_seconds": None if changed is None else round(max(0.0, now - changed), 1),
            "refused": self.refused,
        }


class Deployments:
    """The artifacts of one process, by their names in the target. Owned by the publisher."""

    def __init__(self) -> None:
        self._by_name: Mapping[str, Deployment] = {}
        self._left_out = 0

    def succeeded(self, outcome: Outcome, version_of: Callable[[str], str], now: float) -> None:
        """Note the outcome of a run. `version_of` returns the version of an artifact in the target."""
        found = {}
        for name, sha256 in list(outcome.sha256.items())[:MOST]:
            before = self._by_name.get(name)
            is_new = name in outcome.published
            version = before.version if before and before.state and not is_new else version_of(name)
            source = outcome.sources.get(name) or (before.source if before else None)
            found[name] = after_success(before, Deployment(name, "", now, sha256, version, source), is_new=is_new)
        for name in outcome.pruned[:MOST]:
            found[name] = Deployment(name, "removed", now)
        self._left_out = max(0, len(outcome.sha256) - MOST)
        self._by_name = found

    def refused(self, name: str, source: Source, reason: str, now: float) -> None:
        """Note that a run failed because of this source, which would be published under the name."""
        before = self._by_name.get(name) or Deployment(name, "", now)
        since = before.since if before.state == "refused" else now
        record = replace(before, state="refused", since=since, source=source, refused=reason)
        others = [one for one in self._by_name.values() if one.name != name]
        self._by_name = {one.name: one for one in (record, *others[: 2 * MOST])}

    def status_page(self, now: float) -> dict[str, Any]:
        """Return the artifacts' part of `/status`, by name: the refused ones first."""
        ordered = sorted(self._by_name.values(), key=lambda one: (one.state != "refused", one.name))
        return {utf8_text(one.name): one.status_page(now) for one in ordered}

    @property
    def left_out(self) -> int:
        """The number of artifacts of the last run that are not listed."""
        return self._left_out


def after_success(before: Deployment | None, found: Deployment, *, is_new: bool) -> Deployment:
    """Return the record of an artifact after a run that `found` it so. `is_new`: the run published it."""
    replaced = before.replaced if before else ()
    if not is_new:
        if before and before.sha256 == found.sha256 and before.state != "refused":
            return replace(before, source=found.source, version=found.version)
        return replace(found, state="verified", replaced=replaced)
    state = "rolled back" if found.sha256 and found.sha256 in replaced else "deployed"
    if before and before.sha256 and before.sha256 != found.sha256:
        others = [one for one in replaced if one not in (found.sha256, before.sha256)]
        replaced = (*others, before.sha256)[-_REMEMBERED:]
    return replace(found, state=state, replaced=replaced)
