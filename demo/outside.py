"""The world outside of the Pod that is at work all the time: the customers of the shop, and a monitor of its health."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from demo.events import Journal

PAUSE = 0.02  # seconds between two orders of a customer
PROBE = 0.5  # seconds between two probes of the monitor


@dataclass
class Traffic:
    """The orders of all customers so far."""

    confirmed: int = 0
    failed: int = 0
    by_replica: Counter[int] = field(default_factory=Counter)
    last_failure: str = ""


class Outside:
    """Customers and a monitor until `closing` is set. They share one client."""

    def __init__(self, client: httpx.AsyncClient, journal: Journal, order: str, health: str) -> None:
        self._client, self._journal = client, journal
        self._order, self._health = order, health
        self.traffic = Traffic()
        self.probes = 0
        self.closing = asyncio.Event()
        self.probing = asyncio.Lock()  # held while the monitor waits for an answer

    async def customer(self) -> None:
        """Place one order after the other until the shop closes."""
        while not self.closing.is_set():
            try:
                response = await self._client.get(self._order)
                response.raise_for_status()
                self.traffic.by_replica[response.json()["replica"]] += 1
                self.traffic.confirmed += 1
            except httpx.HTTPError as error:
                self.traffic.failed += 1
                self.traffic.last_failure = f"{error} {getattr(getattr(error, 'response', None), 'text', '')}"
            await asyncio.sleep(PAUSE)

    async def monitor(self) -> None:
        """Probe the health, as a monitoring system does."""
        while not self.closing.is_set():
            with contextlib.suppress(httpx.HTTPError):
                async with self.probing:
                    await self.health()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE):
                    await self.closing.wait()

    async def health(self) -> tuple[int, float, str]:
        """Return status, seconds and the last line of the reason, as a monitoring system sees them."""
        began = time.monotonic()
        response = await self._client.get(self._health)
        self.probes += 1
        status, reason = response.status_code, response.text.strip().rpartition("\n")[2]
        self._journal.present("adapter", f"/health: {status}")
        self._journal.became("monitor", "running" if response.is_success else "alarmed", f"/health: {status}")
        return status, time.monotonic() - began, reason
