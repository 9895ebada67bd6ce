"""Events that a sink will never take: written to the dead letters or dropped, counted, and logged with the reason."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from sidecars.chassis.runtime import logs
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.delivery.dead_letters import DeadLetters
from sidecars.logshipper.delivery.in_flight import InFlightBatch
from sidecars.logshipper.delivery.sink_availability import is_power_of_two
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.ledger import DEAD_LETTER, EXPIRED, REJECTED

log = logs.get("ship")

BackOff = Callable[[InFlightBatch, int, str, float | None], Awaitable[None]]


class Rejections:
    """The rejections of one sink. Owned by its retry loop; `back_off` waits while dead letters cannot be written."""

    def __init__(self, settings: SinkSettings, back_off: BackOff) -> None:
        self.times = 0
        self.last: dict[str, object] | None = None  # for `/status`
        self._sink = settings.name
        self._letters = DeadLetters(settings.on_reject, settings.name) if settings.on_reject else None
        self._back_off = back_off

    async def expire(self, batch: InFlightBatch, piece: Batch, reason: str) -> None:
        """Settle all events of `piece` as given up, beyond a bound of the retries."""
        events = [(index, f"expired: {reason}") for index in range(piece.events)]
        if self._letters is not None:
            await self._write_letters(batch, self._letters, piece, events)
        batch.drop(piece, range(piece.events), EXPIRED)
        self._report(piece, events, len(events), expired=True)

    async def settle(
        self, batch: InFlightBatch, piece: Batch, rejected: Sequence[tuple[int, str]], count: int | None = None
    ) -> None:
        """Settle events of `piece`, which is made of events of `batch`, as rejected: index and reason of each.

        `count`: the number that the sink really rejected, if it does not name them.
        """
        if not rejected or count == 0:
            return
        if self._letters is not None:
            await self._write_letters(batch, self._letters, piece, rejected)
        batch.drop(piece, [index for index, _ in rejected[:count]], DEAD_LETTER if self._letters else REJECTED)
        self._report(piece, rejected, len(rejected[:count]))

    def _report(self, piece: Batch, rejected: Sequence[tuple[int, str]], events: int, *, expired: bool = False) -> None:
        """Keep the rejection for `/status`, and log the 1st, 2nd, 4th, 8th … one."""
        self.times += 1
        index, reason = rejected[0]
        first, at = piece.find(index)
        where = {"file": first.chunk.first_path, "generation": first.chunk.generation, "first_byte": first.offsets[at]}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.last = {"time": now, "reason": reason, **where, "events": events, "times": self.times}
        if not is_power_of_two(self.times):
            return
        fields = {"sink": self._sink, "reason": reason, **where, "events": events, "times": self.times}
        if expired:
            log.error("lines were given up: their retries have reached a bound", code="lines-expired", **fields)
        elif self._letters:
            log.error("lines were rejected", code="lines-rejected", **fields)
        else:
            log.error("lines were dropped", code="lines-dropped", **fields)

    async def _write_letters(
        self, batch: InFlightBatch, letters: DeadLetters, piece: Batch, rejected: Sequence[tuple[int, str]]
    ) -> None:
        """Write the letters before the position moves. A full disk is retried, as a failing sink is."""
        failures = 0
        while True:
            try:
                await letters.append(piece, rejected)
            except OSError as error:
                failures += 1
                await self._back_off(batch, failures, f"{letters.path}: {error.strerror}", None)
                continue
            if failures:
                batch.recovered()
            return
