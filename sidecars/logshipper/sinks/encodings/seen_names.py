"""The table of names that were admitted in an hour: it bounds how many targets or labels the app can make.

    names of a batch, Batch.at ─► admit ─► the names that find no place

The table is a part of the sink's receipt, which is saved with the positions, so that a batch that is sent again after
kill -9 gets the same names. It only grows within an hour. So any table from after the last settled batch gives each
batch in flight the same answer again:

- A name that was admitted is in the table, or is admitted again, since batches are sent again in their order.
- A name that was not admitted met a full table, which is full again when that batch has its turn.

Names are admitted in the order of the batches. (The answer may differ if a file with a part of a batch is gone after
kill -9.)
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import blake2b

_HOUR = 3600 * 10**9  # nanoseconds
_HOURS = 3  # of which a table remembers names: those of batches in flight
_DIGEST = 8  # bytes of a name in the table


class SeenNames:
    """The names of one kind that one sink has admitted: `most` in an hour."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._admitted: dict[int, set[bytes]] = {}  # hour -> digests of names
        self.saved = ""
        """The table as a text, always up to date."""

    def restore(self, saved: object) -> None:
        """Take the table of an earlier process. Names that are none of ours are left out."""
        for item in saved.split(",") if isinstance(saved, str) else ():
            hour, _, text = item.partition(":")
            try:
                data = b64decode(text, validate=True)
            except ValueError:
                continue
            if hour.isdecimal() and len(data) % _DIGEST == 0:
                self._admitted[int(hour)] = {data[at : at + _DIGEST] for at in range(0, len(data), _DIGEST)}
        self._save()

    def admit(self, names: Iterable[str], at: int) -> set[str]:
        """Admit these names in their order, and return those that find no place. `at`: that of their batch."""
        admitted = self._admitted.setdefault(at // _HOUR, set())
        before, refused = len(admitted), set()
        for name in dict.fromkeys(names):
            digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
            if digest not in admitted:
                if len(admitted) < self._most:
                    admitted.add(digest)
                else:
                    refused.add(name)
        if len(admitted) > before:
            self._save()
        return refused

    def _save(self) -> None:
        for hour in sorted(self._admitted)[:-_HOURS]:
            del self._admitted[hour]
        tables = self._admitted.items()
        self.saved = ",".join(f"{hour}:{b64encode(b''.join(sorted(digests))).decode()}" for hour, digests in tables)
