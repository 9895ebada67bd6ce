"""The whole story so far, as server-sent events: one list for all clients, of which each has a place in it."""

from __future__ import annotations

import asyncio
import json
import re
import secrets

from demo.events import Ended, Event, Moved, document

LIMIT = 4000  # events; a story has about 200. Beyond it the totals of the ways are left out, and nothing else
BATCH = 100  # events that are written to a client at once


class History:
    """`take` is called in the event loop of the clients, and never waits."""

    def __init__(self, run: str = "") -> None:
        self._run = run or secrets.token_hex(4)
        self._events: list[bytes] = []
        self._more = asyncio.Event()
        self.ended = False

    def __len__(self) -> int:
        return len(self._events)

    def take(self, event: Event) -> None:
        if isinstance(event, Moved) and len(self._events) >= LIMIT:
            return
        self.ended = self.ended or isinstance(event, Ended)
        text = json.dumps(document(event), separators=(",", ":"))  # ASCII, without line breaks
        self._events.append(f"id: {self._run}.{len(self._events)}\ndata: {text}\n\n".encode())
        self._more.set()
        self._more = asyncio.Event()

    def place_after(self, last_event_id: str) -> int:
        """Return the place behind an event by its id; 0 for an id of another run, and for one that never was."""
        found = re.fullmatch(r"([0-9a-f]{1,16})\.([0-9]{1,9})", last_event_id)
        if found is None or found[1] != self._run:
            return 0
        place = int(found[2]) + 1
        return place if place <= len(self._events) else 0

    def since(self, place: int) -> list[bytes]:
        """Return the next events at a place, at most BATCH."""
        return self._events[place : place + BATCH]

    async def grown(self, place: int) -> None:
        """Wait until there is an event at a place."""
        while place >= len(self._events):
            await self._more.wait()
