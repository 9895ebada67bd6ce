"""Compressed rotated files in the logshipper: `python -m benchmarks.compressed_copies`. CPU time of one thread.

- the inspection of a `.gz` of 64 MiB of text that was read before it was compressed: its trailer tells;
- the inspection of one that is unknown: it is decompressed once, with a checksum and comparisons;
- the longest step of that, for which the event loop waits;
- the running checksum of what is read from a log.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
import zlib

from benchmarks.figures import Figure, conclude
from sidecars.logshipper.input.compressed.inspection import inspect
from sidecars.logshipper.model import steps
from sidecars.logshipper.model.fingerprint import position_fingerprint, prefix_fingerprint
from sidecars.logshipper.state.file_state import FileState

SIZE, ROUNDS = 64 << 20, 20


def main() -> int:
    text = b"".join(
        b"2026-11-30T01:00:00Z INFO request %d took %d ms\n" % (n, n * 7919 % 997) for n in range(1_400_000)
    )
    text = text[: SIZE - SIZE % 50]
    state = FileState("f00d", "/logs/app.log", "/logs/app.log", "default", 1, 2, len(text))
    state.prefix, state.seen = prefix_fingerprint(text), position_fingerprint(len(text), text)
    state.crc, state.crc_length = zlib.crc32(text), len(text)
    other = FileState("beef", "/logs/app.log", "/logs/app.log", "default", 1, 3, 10)
    with tempfile.TemporaryFile() as file:
        size = file.write(gzip.compress(text, 1))
        file.flush()
        known = longest = float("inf")
        for _ in range(ROUNDS):
            began = time.thread_time()
            found = steps.run(inspect(file.fileno(), size, [state, other]))
            known = min(known, time.thread_time() - began)
        assert found.generation == "f00d"
        assert not found.was_decompressed
        longest, began = 0.0, time.thread_time()
        step = began
        for _ in inspect(file.fileno(), size, [other]):
            longest, step = max(longest, time.thread_time() - step), time.thread_time()
        unknown = time.thread_time() - began
    began = time.thread_time()
    zlib.crc32(text)
    checksum = time.thread_time() - began
    megabytes = len(text) / 1e6
    return conclude(
        "compressed_copies",
        [
            Figure("a copy that was read before", known * 1e3, 1, "ms"),
            Figure(
                "an unknown copy", megabytes / unknown, 150, "MB/s", at_least=True, note=f"{megabytes:.0f} MB of text"
            ),
            Figure("its longest step", longest * 1e3, 10, "ms"),
            Figure("the running checksum", megabytes / checksum, 1000, "MB/s", at_least=True),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
