"""The health of the other sidecars of the Pod: `GET /siblings` of the admin port.

    a look at the page ──▶ Siblings.lines ──▶ GET /readyz on 127.0.0.1, each sibling's admin port, all at once
                              └─ cached 2 s, one question at a time

Nobody is asked unless somebody asks here. A neighbour that listens on such a port may be hostile, so its response is
worth little: it has 1 s and 8 KiB, and no redirect is followed. Of its answer only one of three words, a number and a
few short texts are taken, and the texts are shown as text. Other hosts cannot be asked: a setting gives ports alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.printable import printable, truncate

if TYPE_CHECKING:
    from sidecars.chassis.http.client import ClientResponse

PORTS: Mapping[str, int] = {
    "warcopier": 9911,
    "logshipper": 9912,
    "ambassador": 9913,
    "adapter": 9914,
}
"""The default admin port of each sidecar. A test proves that the settings have the same."""
STATES = ("ready", "not ready", "not alive")  # what a sibling says of itself
NO_ANSWER, NOT_HERE = "no answer", "not here"

_HOST = "127.0.0.1"
_CACHED = 2.0  # seconds
_DEADLINE = 1.0  # seconds, for all siblings
_MOST = 16  # siblings
_MAX_BODY = 8 * 1024  # bytes
_REASONS, _REASON = 5, 200  # texts, and characters of each
_LONGEST_AGE = 1e9  # seconds

Line = dict[str, Any]


class Siblings:
    """The siblings of one sidecar. The admin server owns it."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = dict(list(ports.items())[:_MOST])
        self._asking: asyncio.Task[list[Line]] | None = None
        self._cached_until = 0.0  # of the loop's clock

    @property
    def are_known(self) -> bool:
        """True if there is anybody to ask."""
        return bool(self._ports)

    async def lines(self) -> list[Line]:
        """Return a line for each sibling: `name`, `port`, `state`, `reasons`, `since_seconds`."""
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() >= self._cached_until):
            self._asking = loop.create_task(self._ask_all())
        return await asyncio.shield(self._asking)  # a client that leaves stops no question of others

    async def text(self) -> str:
        """Return the lines as a document of JSON."""
        return logs.scrubbed(json.dumps({"siblings": await self.lines()}, indent=2), "/siblings") + "\n"

    async def _ask_all(self) -> list[Line]:
        found = await asyncio.gather(*(_ask(name, port) for name, port in self._ports.items()))
        self._cached_until = asyncio.get_running_loop().time() + _CACHED
        return list(found)


def others(ports: Mapping[str, int] | None, name: str, own_ports: Iterable[int]) -> Mapping[str, int]:
    """Return the ports of the siblings: those of the setting, else the default ones; never the sidecar's own."""
    chosen = {each: port for each, port in PORTS.items() if each != name} if ports is None else ports
    own = frozenset(own_ports)
    return {each: port for each, port in chosen.items() if port not in own}


async def _ask(name: str, port: int) -> Line:
    import h11  # noqa: PLC0415 - only once somebody asks

    from sidecars.chassis.http.client import HttpClient, RequestFailed  # noqa: PLC0415 - only once somebody asks

    client = HttpClient(_HOST, port, lambda: None, keep_alive=0)
    fields = [("Host", f"{_HOST}:{port}"), ("Accept", "application/json"), ("Connection", "close")]
    try:
        async with asyncio.timeout(_DEADLINE):
            request = h11.Request(method="GET", target="/readyz", headers=fields)
            response = await client.request(request, max_body=_MAX_BODY)
    except ConnectionRefusedError:
        return _line(name, port, NOT_HERE, [f"nothing listens on port {port}"])
    except TimeoutError:
        return _line(name, port, NO_ANSWER, [f"no response within {_DEADLINE:g} s"])
    except OSError as error:
        return _line(name, port, NO_ANSWER, [error.strerror or type(error).__name__])
    except RequestFailed:
        return _line(name, port, NO_ANSWER, ["its response is not that of a sidecar"])
    finally:
        client.close()
    return _line(name, port, *_understood(response))


def _understood(response: ClientResponse) -> tuple[str, list[str], float | None]:
    """Return the state, the reasons and the age in a response that a hostile neighbour may have written."""
    try:
        said = json.loads(response.body)
    except (ValueError, RecursionError):
        said = None
    state = said.get("state") if isinstance(said, dict) else None
    if response.status not in (200, 503) or state not in STATES:
        return NO_ANSWER, ["another program than a sidecar answers on this port"], None
    reasons = said.get("reasons")
    texts = [text for text in reasons if isinstance(text, str)] if isinstance(reasons, list) else []
    return state, [_bounded(text) for text in texts[:_REASONS]], _age(said.get("since_seconds"))


def _bounded(text: str) -> str:
    """Return a text as one short line. It is cut before and after the escapes, which are longer."""
    return truncate(printable(truncate(text, _REASON)), _REASON)


def _age(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _LONGEST_AGE:  # type: ignore[operator] # it is a number; NaN is in no range
        return None
    return round(float(value), 3)  # type: ignore[arg-type] # it is a number, as was tested above


def _line(name: str, port: int, state: str, reasons: list[str], since_seconds: float | None = None) -> Line:
    return {"name": name, "port": port, "state": state, "reasons": reasons, "since_seconds": since_seconds}
