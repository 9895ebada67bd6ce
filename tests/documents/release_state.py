"""Write the state files of this version below `tests/documents/state`: `python tests/documents/release_state.py`.

A release calls this once, and adds the folder of its version. No folder is changed later: every later version must read
all of them (`test_state_of_releases`).

    state/<version>/logshipper/   positions.json, and the journal that continues it after a kill -9
    state/<version>/warcopier/    .warcopier.json
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from copy import copy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sidecars import chassis  # noqa: E402 - the script finds it by the line above
from sidecars.logshipper.model.fingerprint import position_fingerprint, prefix_fingerprint  # noqa: E402 - the script finds it by the line above
from sidecars.logshipper.state.file_state import FileState  # noqa: E402 - the script finds it by the line above
from sidecars.logshipper.state.sent_batches import ChunkRange, SentBatch  # noqa: E402 - the script finds it by the line above
from sidecars.logshipper.state.store import Store  # noqa: E402 - the script finds it by the line above
from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry  # noqa: E402 - the script finds it by the line above
from sidecars.warcopier.target import manifest  # noqa: E402 - the script finds it by the line above
from sidecars.warcopier.tomcat_names import MANIFEST  # noqa: E402 - the script finds it by the line above

STATE = Path(__file__).parent / "state"
LINES = b"".join(b"2026-01-31 10:00:%02d line %d\n" % (number, number) for number in range(60))
HALF = len(LINES) // 2

ROTATED = FileState(
    "0123456789abcdef", "/logs/app.log", "/logs/app.log.1", "default", device=2049, inode=131, size=len(LINES),
    prefix=prefix_fingerprint(LINES), seen=position_fingerprint(len(LINES), LINES),
    positions={"loki": position_fingerprint(len(LINES), LINES), "audit": position_fingerprint(HALF, LINES[:HALF])},
)  # fmt: skip
CURRENT = FileState(
    "fedcba9876543210", "/logs/app.log", "/logs/app.log", "default", device=2049, inode=132, size=HALF,
    prefix=prefix_fingerprint(LINES[:HALF]), seen=position_fingerprint(HALF, LINES[:HALF]),
    positions={"loki": position_fingerprint(HALF, LINES[:HALF])},
)  # fmt: skip
FORGOTTEN = FileState("00000000ffffffff", "/logs/old.log", "/logs/old.log", "default", device=2049, inode=133)
IN_FLIGHT = [SentBatch([ChunkRange(ROTATED.generation, HALF, HALF, len(LINES), kind=0)], at=1769853660_000000000)]
RECEIPT = [77, [HALF, 12, "ab" * 12]]  # of a file sink: any JSON value
SAVED = {
    "shop.war": ManifestEntry("ab" * 32, "war", Fingerprint(4096, 1769853600_000000000, 1769853601_500000000, 4711)),
    "shop##0002": ManifestEntry("cd" * 32, "unpackable", Fingerprint(4096, 1769853600_000000000, 1769853602_0, 4712)),
}


async def write_positions(folder: Path) -> None:
    """Leave a state directory as a kill -9 would: a snapshot, and a journal with later changes."""
    store = Store(folder, "LOGSHIPPER_STATE_DIR")
    store.open()
    store.add_sinks(["loki", "audit"])
    store.add_file(FORGOTTEN)
    store.add_file(copy(ROTATED))
    await store.save()
    store.add_file(copy(CURRENT))
    store.record_decision("audit", {}, RECEIPT, [])
    store.record_sending("audit", IN_FLIGHT)
    store.forget_file(FORGOTTEN.generation)
    store.close()


def write(folder: Path) -> None:
    for name in ("logshipper", "warcopier"):
        (folder / name).mkdir(parents=True)
    asyncio.run(write_positions(folder / "logshipper"))
    (folder / "logshipper" / "lock").unlink()  # it is empty, and made at each start
    (folder / "warcopier" / MANIFEST).write_bytes(b"".join(manifest.render(SAVED)))


if __name__ == "__main__":
    place = STATE / chassis.__version__
    shutil.rmtree(place, ignore_errors=True)
    write(place)
