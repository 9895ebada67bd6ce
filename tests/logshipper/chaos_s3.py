"""The chaos of the sink `s3`: kill -9 over real S3 servers whose answers get lost, judged by the objects.

    python -m tests.logshipper.chaos_s3 [--kills N] [--seed N] [--servers seaweedfs,moto,rclone]

The app (`chaos_app`) writes numbered lines, and rotates its file in every way. Before the server is a gateway that
fails some requests on purpose (`s3_servers.Gateway`): answers that are lost or break off, 5xx, conflicts, slow ones.
The keys of objects have seconds in them, so that a resend that took the time of sending would be another object. At the
end the objects are unpacked:

- each line is there exactly once: none is missing, and no id is there twice, in whatever object;
- in the ledger nothing is pending, and nothing was dropped.

In every fourth episode the objects are large: lines that no compression makes small, so that an object is uploaded in
parts. Kills and faults then meet the beginning of an upload, its parts, its completion, and its end by force.

The program prints a line for each server. It exits with 1 if a line was lost or repeated.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.logshipper import s3_servers
from tests.logshipper.chaos_app import ChaosApp
from tests.logshipper.receivers.object_store import ACCESS, SECRET
from tests.logshipper.s3_servers import Gateway
from tests.logshipper.support import environ, lines_of, status
from tests.support import Program, free_port, wait_until

_COMPRESSIONS = ("gzip", "zstd", "none")
_LARGE = 12 * 1024 * 1024  # bytes that are written in a round: more than a part has, also when they are compressed


class S3Chaos:
    """One set of files with an app and a shipper. Its objects are below `prefix`, on the server at `endpoint`."""

    def __init__(self, folder: Path, endpoint: str, seed: int, prefix: str) -> None:
        self.random = random.Random(seed)
        self.folder, self.endpoint, self.prefix = folder, endpoint, prefix
        self.is_large = is_large(seed)
        self.gateway = Gateway(endpoint, random.Random(seed), 0.4)
        self.admin_port = free_port()
        self.environ = environ(
            folder,
            self.admin_port,
            LOGSHIPPER_PATHS=f"{folder}/logs/app.log*",
            LOGSHIPPER_SINK=f"s3://logs/{prefix}",
            LOGSHIPPER_SINK_ENDPOINT=self.gateway.endpoint,
            LOGSHIPPER_SINK_USERNAME=ACCESS,
            LOGSHIPPER_SINK_PASSWORD=SECRET,
            LOGSHIPPER_SINK_OBJECT_KEY="%Y/%m/%d/%H%M%S/",
            LOGSHIPPER_COMPRESSION=_COMPRESSIONS[seed % len(_COMPRESSIONS)],
            LOGSHIPPER_IN_FLIGHT=("1", "3")[seed % 2],
            LOGSHIPPER_BATCH_SIZE="32MiB" if self.is_large else "16KiB",
            LOGSHIPPER_MAX_LINE_SIZE="4KiB",
            LOGSHIPPER_ROTATE_WAIT="300ms",
            LOGSHIPPER_REQUEST_TIMEOUT="30s" if self.is_large else "5s",
            LOGSHIPPER_DELETE_DELIVERED="true" if seed % 2 else "false",
            LOGSHIPPER_DRAIN_TIMEOUT="500ms",
        )
        self.program: Program | None = None
        self.app = ChaosApp(folder, self.random)
        self.kills = 0

    def start(self) -> None:
        if self.program is None:
            self.program = Program(["-m", "sidecars.logshipper"], self.environ, self.folder)

    def round(self) -> None:
        """Write lines, rotate, and kill the shipper (sometimes with SIGTERM) at any moment."""
        self.start()
        app = self.app
        app.write()
        time.sleep(self.random.choice((0, 0.02, 0.1)))
        self.random.choice((app.rename, app.copytruncate, app.rename_again, app.write, app.write))()
        app.write()
        if self.is_large:
            app.write_random(_LARGE)
        self._let_it_work()
        assert self.program is not None
        # A handler that raises while orjson is being loaded, with the settings, crashes it: SIGTERM is sent after that.
        if self.random.random() < 0.15 and self.program.logged("starting"):
            code = self.program.stop()
            assert code in (0, 69, -15), f"exit {code}:\n{self.program.stderr}"
        else:
            self.program.kill()
            self.kills += 1
        self.program = None

    def _let_it_work(self) -> None:
        """Wait for some of its requests, and for a moment in the next one; sometimes for none."""
        wanted = self.gateway.seen.total() + self.random.randrange(4 if self.is_large else 6)
        until = time.monotonic() + (15 if self.is_large else 4)
        while self.gateway.seen.total() < wanted and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(self.random.choice((0, 0.001, 0.01, 0.05)))

    def finish(self) -> None:
        """Let everything arrive, while fewer requests fail, and judge it. Raises AssertionError."""
        self.gateway.share = 0.2
        self.app.finish_line()
        self.start()
        assert self.program is not None
        self.program.wait_ready(self.admin_port)
        try:
            wait_until(self._is_settled, "the ledger is settled", 120)
        except AssertionError as error:
            raise AssertionError(
                f"{error}: {status(self.admin_port)['sinks']}\n{self.program.stderr[-5000:]}"
            ) from None
        assert self.program.stop() == 0, self.program.stderr
        self.program = None
        self.judge(self.records())

    def _is_settled(self) -> bool:
        sink = status(self.admin_port)["sinks"]["default"]
        assert sink["balanced"], sink
        assert not any(sink["dropped_bytes"].values()), sink
        written = sum(len(line.encode()) for line in self.app.written)
        return sink["pending_bytes"] == 0 and bool(written)

    def records(self) -> list[dict[str, Any]]:
        return s3_servers.records(
            {key: body for key, body in s3_servers.objects(self.endpoint).items() if key.startswith(f"{self.prefix}/")}
        )

    def judge(self, found: list[dict[str, Any]]) -> None:
        stderr = "".join(path.read_text() for path in sorted(self.folder.glob("stderr-*")))
        ids = Counter(record["id"] for record in found)
        lines = lines_of(found)
        wrong = {
            "records repeated": [ident for ident, count in ids.items() if count > 1],
            "lines missing": [line[:30] for line in self.app.written if line not in lines],
            "lines repeated": [line[:30] for line, count in lines.items() if count > 1],
            "strange lines": [line[:40] for line in lines.keys() - set(self.app.written)],
        }
        assert not any(wrong.values()), (
            f"{[(what, len(some), some[:5]) for what, some in wrong.items()]}\n{stderr[-9000:]}"
        )
        assert '"a defect' not in stderr, stderr[-9000:]

    def close(self) -> None:
        self.app.close()
        self.gateway.close()
        if self.program is not None:
            self.program.kill()


def is_large(seed: int) -> bool:
    return seed % 4 == 3


def episode(folder: Path, endpoint: str, seed: int, kills: int) -> S3Chaos:
    """Run rounds until the shipper was killed so often, and judge the objects. Raises AssertionError."""
    chaos = S3Chaos(folder, endpoint, seed, f"run-{seed}")
    try:
        while chaos.kills < kills:
            chaos.round()
        chaos.finish()
    finally:
        chaos.close()
    return chaos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="for each server")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--servers", default=",".join(s3_servers.SERVERS))
    parser.add_argument("--episode", type=int, default=20, help="kills on one set of files")
    options = parser.parse_args()
    for name in options.servers.split(","):
        kills, lines, uploads, seed = 0, 0, 0, options.seed
        seen: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as place, s3_servers.SERVERS[name](Path(place) / "server") as endpoint:
            while kills < options.kills:
                folder = Path(place) / str(seed)
                folder.mkdir()
                wanted = min(options.episode, options.kills - kills)
                try:
                    chaos = episode(folder, endpoint, seed, max(1, wanted // 4) if is_large(seed) else wanted)
                except AssertionError as error:
                    print(f"{name}, seed {seed}: {error}")  # noqa: T201 - a program's output
                    return 1
                kills, lines, seed = kills + chaos.kills, lines + len(chaos.app.written), seed + 1
                seen += chaos.gateway.seen
                uploads += chaos.gateway.uploads
        faults = sum(count for fault, count in seen.items() if fault != "none")
        failed = f"{faults} of {seen.total()} requests failed on purpose ({seen['lost'] + seen['half']} answers lost)"
        failed += f", {uploads} uploads in parts"
        print(  # noqa: T201 - a program's output
            f"{name}, seeds {options.seed} to {seed - 1}: {kills} times kill -9, {failed}: {lines} lines, "
            "each in one object; 0 missing, 0 repeated",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
