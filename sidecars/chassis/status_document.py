"""The document behind `/status`: what all sidecars tell about themselves, with the sidecar's own members in the middle.

    name, version, state, since, since_seconds, reasons, not_alive, not_ready, trouble       what a person asks first
    the sidecar's own members                                                               its upstreams, sinks, …
    uptime_seconds, pid, connections, descriptors, confinement, settings                     what they ask last

`since` is the time at which `state` came about, in UTC (RFC 3339). `reasons` has a sentence for each thing that keeps
the state from being `ready`. `trouble` has the warnings and errors of the last ten minutes (`runtime.troubles`). A
sidecar with processes of its own returns theirs as `trouble`, too; they are put together.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sidecars import chassis
from sidecars.chassis.accept import budget
from sidecars.chassis.config.effective_settings import effective
from sidecars.chassis.config.settings import ServiceSettings
from sidecars.chassis.isolation import confine
from sidecars.chassis.runtime import descriptors, logs, troubles
from sidecars.chassis.runtime.health import Health

Status = Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""A function that returns the sidecar's own members: at once, or in turns of the event loop if that takes long."""

_JITTER = 0.5  # seconds by which two computations of the same moment may differ


class StatusDocument:
    """The document of one process. `status` returns the sidecar's own members."""

    def __init__(self, settings: ServiceSettings, health: Health, status: Status) -> None:
        self._settings = settings
        self._health = health
        self._status = status
        self._started = time.monotonic()
        self._since = 0.0  # of the wall clock

    async def own_members(self) -> Mapping[str, Any]:
        """Return the sidecar's own members."""
        found = self._status()
        return found if isinstance(found, Mapping) else await found

    def members(self, own_members: Mapping[str, Any]) -> dict[str, Any]:
        """Return all members, in their order."""
        own = dict(own_members)
        return {
            **self.state(),
            "not_alive": self._health.not_alive(),
            "not_ready": self._health.not_ready(),
            "trouble": [*troubles.recent(), *own.pop("trouble", ())],
            **own,
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "pid": os.getpid(),
            "connections": budget.status(),
            "descriptors": descriptors.status(),
            "confinement": confine.status(),
            "settings": effective(self._settings),
        }

    def state(self) -> dict[str, Any]:
        """Return the first members: who this is, and how it is. `/readyz` gives them to a sibling."""
        state, seconds = self._health.state()
        return {
            "name": self._settings.PREFIX.lower(),
            "version": chassis.__version__,
            "state": state,
            "since": self._moment(seconds),
            "since_seconds": round(seconds, 1),
            "reasons": [*self._health.not_alive(), *self._health.not_ready()],
        }

    def state_text(self) -> str:
        """Return the first members as JSON in ASCII on one line, without a secret."""
        return self._text(self.state(), compact=True)

    def text(self, own_members: Mapping[str, Any], *, compact: bool = False) -> str:
        """Return the document as JSON in ASCII without a secret: on many lines, or with `compact` on one."""
        return self._text(self.members(own_members), compact=compact)

    def _text(self, members: dict[str, Any], *, compact: bool) -> str:
        indent = None if compact else 2
        try:
            text = json.dumps(members, ensure_ascii=False, allow_nan=False, default=str, indent=indent)
        except ValueError:  # JSON has no such number, and no browser would read the rest
            text = json.dumps(_finite(members), ensure_ascii=False, allow_nan=False, default=str, indent=indent)
        text = logs.scrubbed(text, "/status")  # before characters are escaped, else a secret with some is not found
        if not text.isascii():
            text = json.dumps(json.loads(text), indent=indent)
        return f"{text}\n"

    def _moment(self, seconds_ago: float) -> str:
        """Return the moment as text. It stays the same while the state does, although two clocks are compared."""
        since = time.time() - seconds_ago
        if abs(since - self._since) > _JITTER:
            self._since = since
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since))


def _finite(value: Any) -> Any:
    """Return a value in which each number that is infinite or not a number is a text, such as "nan"."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): _finite(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(member) for member in value]
    return value
