"""The limits of memory that no setting changes, and that both the code and the memory ledger need.

They are here, and not where they are used, so that `--check` loads neither the files' nor the sinks' modules.
"""

from __future__ import annotations

MAX_FILES = 25_000
"""Followed files: about 50 MiB."""
MOST_FILES = 50
"""Files that the page lists for each sink."""
LINE_ROOM = 32
"""Bytes of a batch's room that even an empty line takes: as a record it has a hundred."""
SHORT_RESPONSE = 64 * 1024
"""Bytes of a response that has a status and a reason."""
BULK_RESULT, BULK_RESPONSE = 128, 8 * 2**20
"""Bytes of a response of `_bulk` for each document, and in all."""
