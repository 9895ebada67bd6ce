"""Receivers of logs: they store what they accept, answer as well or as badly as the dice say, and check each record."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.world.http_peers import Incomplete, Message, Peer
from tests.world.log_apps import POISON
from tests.world.log_ledger import Ledger
from tests.world.universe import Broken, Universe, check, check_equal

_LARGEST = 3000  # bytes of a body, for a receiver that finds the batch too large


class Receiver:
    """One receiver: of NDJSON by POST, or of bulk requests."""

    def __init__(self, universe: Universe, ledger: Ledger, name: str, *, is_bulk: bool, is_ordered: bool) -> None:
        self.name = name
        self.badness = 0.0
        self.wanted = ""  # how the name of each log begins that the sink gets
        self.texts: dict[str, str] = {}  # by id
        self.may_repeat_under_new_ids = False
        self.may_repeat_pieces = False  # True where the state may have lost that a piece of a line was sent
        # Texts by generation and offset, also those that are never taken. A line may come in pieces, before and after a
        # loss of power.
        self._places: dict[tuple[str, int], dict[str, None]] = {}
        self._epoch = 0  # losses of power
        self._universe = universe
        self._ledger = ledger
        self._lines = ledger.received.setdefault(name, {})
        self._rejected = ledger.rejected.setdefault(name, {})
        ledger.join_pieces.append(self.join_pieces)
        self._is_bulk = is_bulk
        self._is_ordered = is_ordered
        self._ids_of_key: dict[str, list[str]] = {}
        self._key_of: dict[str, str] = {}  # by id, of batches with lines of one file
        self._halved: dict[str, None] = {}  # keys of batches of which the halves may come: see `_check_key`
        self._splits = universe.chance(0.5)  # True if it may find a batch too large
        self._last: dict[str, int] = {}  # generation -> the last offset that was new

    def note_lost_power(self) -> None:
        """Let ids and keys begin anew: in place of lines that the disk has lost, others may get their ids."""
        self._epoch += 1
        self.may_repeat_under_new_ids = True
        self.texts.clear()
        self._ids_of_key.clear()
        self._key_of.clear()
        self._halved.clear()
        self._last.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, epoch = Peer(reader, writer), self._epoch
        try:
            while await self._serve_one(peer, epoch):
                pass
        except (Incomplete, ConnectionError):
            pass
        except Broken as broken:
            self._ledger.broken.append(broken)
        peer.close()

    async def _serve_one(self, peer: Peer, epoch: int) -> bool:
        """Serve one request of a connection of this epoch; return True if another one may follow."""
        universe = self._universe
        request = await peer.read_request()
        moods = ("503", "429", "500", "cut before", "cut after", "half", "slow", "silence", "reset", "413", "some")
        mood = universe.choose(*moods) if universe.chance(self.badness) else "fine"
        if mood == "cut before" and universe.chance(0.5):
            return False  # in the middle of the body
        await peer.read_body(request)
        universe.record(f"{self.name} gets {len(request.body)} bytes, and is {mood}")
        if mood == "slow":
            await asyncio.sleep(universe.between(0.1, 3.0))
        if mood == "silence":
            await asyncio.sleep(universe.choose(1.0, 5.0))
        if mood in ("silence", "cut before"):
            return False
        is_too_large = mood == "413" and self._splits and len(request.body) > _LARGEST
        if mood in ("503", "429") or is_too_large:
            if is_too_large and epoch == self._epoch:
                self._note_halved(request)
            return await self._respond(peer, int(mood), b"", universe.choose("", "Retry-After: 1\r\n"))
        if epoch != self._epoch:
            return False  # what was sent before a loss of power is not compared with what is sent after it
        status, body = self._store(request, some=mood == "some")
        if status == 400 or mood == "500":
            self._note_halved(request)
        return await self._respond_after_storing(peer, mood, status, body)

    async def _respond_after_storing(self, peer: Peer, mood: str, status: int, body: bytes) -> bool:
        if mood == "reset":
            peer.reset()
        elif mood == "half":
            whole = _response(status, body)
            peer.send(whole[: self._universe.dice.randint(1, len(whole) - 1)])
        elif mood == "500":
            return await self._respond(peer, 500, b"")
        elif mood != "cut after":
            return await self._respond(peer, status, body)
        return False

    async def _respond(self, peer: Peer, status: int, body: bytes, more: str = "") -> bool:
        peer.send(_response(status, body, more))
        await peer.flush()
        return True

    # -- storing ------------------------------------------------------------------------------------------------------

    def _check_input(self, record: Any) -> None:
        """Check that the record is of an input of the sink. A file with the inode of another one may have its name."""
        places = (record.get("file", "/app.log"), f"/{record.get('message', '')}")
        check("a sink gets the lines of its inputs alone", any(f"/{self.wanted}" in place for place in places), record)

    def _store(self, request: Message, *, some: bool) -> tuple[int, bytes]:
        """Store the records, or some of them. Return the status and body of the response."""
        lines = [json.loads(line) for line in request.body.splitlines()]
        for record in lines:
            self._check_input(record)
        if not self._is_bulk:
            self._check_key(request.field("Idempotency-Key"), [record["id"] for record in lines])
            poisoned = [record for record in lines if POISON in record["message"]]
            if poisoned:
                if len(lines) == 1:
                    self._reject(poisoned[0])
                return 400, b""
            for record in lines:
                self._take(record)
            return 204, b""
        statuses = [self._take_document(record, some=some) for record in lines[1::2]]
        items = [{"create": {"status": status} | _error_of(status)} for status in statuses]
        has_errors = any(status != 201 for status in statuses)
        return 200, json.dumps({"errors": has_errors, "items": items}).encode()

    def _take_document(self, record: dict[str, Any], *, some: bool) -> int:
        if POISON in record["message"]:
            self._reject(record)
            return 400
        if some and self._universe.chance(0.3):
            return 429
        known = self.texts.get(record["id"]) == record["message"]
        self._take(record)
        return 409 if known else 201

    def _reject(self, record: dict[str, Any]) -> None:
        """Note a line that is never taken. Of one that comes in pieces the other pieces may be."""
        self._rejected[record["message"]] = None
        self._note_place(record)

    def _note_place(self, record: dict[str, Any]) -> None:
        generation, offset, _ = _parts(record["id"])
        self._places.setdefault((generation, offset), {})[record["message"]] = None

    def _note_halved(self, request: Message) -> None:
        """Note a batch that is refused, or stored and answered with 500: after enough of these its halves come."""
        if not self._is_bulk:
            key, lines = request.field("Idempotency-Key"), request.body.splitlines()
            self._ids_of_key.setdefault(key, [json.loads(line)["id"] for line in lines])
            self._halved[key] = None

    def _check_key(self, key: str, ids: list[str]) -> None:
        """Check that each line comes under its first key, or with a part of a batch that was refused or failed.

        The halves of such a batch have keys of their own, since each key is that of the same records for ever. So a
        receiver that has stored the batch, and responds 500 all the same, gets its lines again, as its chapter says.
        """
        check_equal("a key is that of the same records for ever", self._ids_of_key.setdefault(key, ids), ids)
        if self.may_repeat_under_new_ids:
            return
        for ident in ids if _is_of_one_file(ids) else ():
            first = self._key_of.setdefault(ident, key)
            is_same = first == key or not _is_of_one_file(self._ids_of_key[first]) or self._are_parts(first, key)
            check("a line that is repeated, also after a kill, comes under its first key", is_same, ident)

    def _are_parts(self, one: str, other: str) -> bool:
        """Return True if the records of both keys are of one batch that was refused or failed."""
        ids = {*self._ids_of_key[one], *self._ids_of_key[other]}
        return any(ids <= {*self._ids_of_key[whole]} for whole in self._halved)

    def _take(self, record: dict[str, Any]) -> None:
        ident, text = record["id"], record["message"]
        if ident in self.texts:
            check_equal(f"an id is that of one text for ever: {ident}", text, self.texts[ident])
            return
        generation, offset, size = _parts(ident)
        is_piece = bool(record.get("partial"))
        check("the id of a piece has its size, and no other id has one", is_piece == (size > 0), ident)
        check("the size in an id is that of the text", size in (0, len(text.encode())), ident, text)
        if self._is_ordered:
            last = self._last.get(generation, -1)
            is_next = offset > last or (offset == last and not size and self.may_repeat_pieces)
            check("the lines of a file come in their order", is_next, f"{ident} after {last}", text)
            self._last[generation] = offset
        self.texts[ident] = text
        self._note_place(record)
        if text in self._ledger.written:
            first = self._lines.setdefault(text, ident)
            check(
                "a line comes under one id",
                first == ident or self.may_repeat_under_new_ids,
                f"{text:.60}: {first} and {ident}",
            )
        else:
            known = any(text in line for line in self._ledger.written)
            check("nothing is invented", known or is_piece, repr(text))

    def join_pieces(self) -> None:
        """Take lines that came in pieces as received: the input ended in the middle of each."""
        for generation, first in sorted(self._places):
            joined = [""]
            for begun in joined:  # it grows
                following = self._places.get((generation, first + len(begun)), {})
                joined += [begun + text for text in following if text]
            for text in joined[1:]:  # a piece may be a line, too, that was torn by a loss of power
                if text in self._ledger.written:
                    self._lines.setdefault(text, f"{generation}-{first}")


def _parts(ident: str) -> tuple[str, int, int]:
    """Return generation, offset and size of an id. The id of a whole line has no size."""
    generation, _, place = ident.rpartition("-")
    offset, _, size = place.partition("+")
    return generation, int(offset), int(size or 0)


def _response(status: int, body: bytes, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} -\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _error_of(status: int) -> dict[str, Any]:
    return {} if status < 400 or status == 409 else {"error": {"type": "e", "reason": "as the dice say"}}


def _is_of_one_file(ids: list[str]) -> bool:
    return len({ident.partition("-")[0] for ident in ids}) == 1
