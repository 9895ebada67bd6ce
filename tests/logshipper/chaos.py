"""Chaos over the real program: kill -9, rotations and sink faults, with what arrived as the judge.

    python -m tests.logshipper.chaos [--rounds N] [--seed N]

An app writes numbered lines, in whole and in halves, and rotates its file in every way, and another file with stack
traces; each of three sinks fails in every way by itself. The sinks are an HTTP receiver with several batches on their
way, an Elasticsearch that wants single documents again or refuses them for good, and files. In each round a sink's
mood changes, lines are written, the file is rotated in one of the ways, and the shipper is killed at whatever moment
that is; now and then it is told to stop. Up to 50 rounds go over the same files. In the end:

- the HTTP receiver has every line, and once repeats are dropped by their ids exactly once;
- Elasticsearch has every line exactly once, but for what it refused, which lies in the dead letters with its reason;
- the files have every line exactly once, as they are;
- every ledger says so: nothing is pending, nothing was dropped but what was refused.

Prints one line, exits 1 on any loss.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.support import Receiver, environ, lines_of, status
from tests.support import Program, free_port, wait_until

_MODES = ("ok", "ok", "ok", "lost", "503", "429", "403", "hang", "limit:17000", "400")
_BAD = "never mind "  # what a line begins with that Elasticsearch will never take
_SINKS = ("web", "search", "files")


class RefusalSearch(Elasticsearch):
    """Refuses some documents for good, and wants others again."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def _create(self, action: Any, line: bytes) -> dict[str, Any]:
        message = json.loads(line)["message"]
        if message.startswith(_BAD):
            self.verdicts[message] = [400]
        elif self._chance.random() < 0.003:
            self.verdicts[message] = [429]
        return super()._create(action, line)

    def records(self) -> list[dict[str, Any]]:
        return [{"id": ident, **document} for ident, document in list(self.documents.items())]


class Chaos:
    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.web, self.search = Receiver(), RefusalSearch(random.Random(seed))
        self.admin_port = free_port()
        self.environ = environ(
            folder,
            self.admin_port,
            LOGSHIPPER_APP_PATHS=f"{folder}/logs/app.log*",
            LOGSHIPPER_TRACES_PATHS=f"{folder}/logs/traces.log",
            LOGSHIPPER_TRACES_MULTILINE="java",
            LOGSHIPPER_TRACES_MULTILINE_TIMEOUT="100ms",
            LOGSHIPPER_WEB_SINK=self.web.url,
            LOGSHIPPER_WEB_IN_FLIGHT="3",
            LOGSHIPPER_SEARCH_SINK=self.search.url,
            LOGSHIPPER_SEARCH_ON_REJECT=f"{folder}/letters",
            LOGSHIPPER_FILES_SINK=f"file://{folder}/out",
            LOGSHIPPER_BATCH_SIZE="16KiB",
            LOGSHIPPER_MAX_LINE_SIZE="4KiB",
            LOGSHIPPER_ROTATE_WAIT="300ms",
            LOGSHIPPER_DELETE_DELIVERED="true" if seed % 2 else "false",
            LOGSHIPPER_LOG_LEVEL="debug",
            LOGSHIPPER_DRAIN_TIMEOUT="500ms",
        )
        del self.environ["LOGSHIPPER_PATHS"]
        self.program: Program | None = None
        self.log = folder / "logs" / "app.log"
        self.app = self.log.open("ab", buffering=0)
        self.unfinished = b""
        self.written: list[str] = []
        self.rotations = 0
        self.kills = 0
        self.start()

    # -- the app -------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        block = self.unfinished
        for _ in range(self.random.choice((1, 3, 30, 150))):
            size = self.random.choice((0, 10, 100, 100, 100, 1000, 9000)) if len(block) < 50_000 else 0
            head = _BAD if size < 1000 and self.random.random() < 0.02 else ""
            line = f"{head}{len(self.written)} {'ü' * (size // 2)}{'x' * self.random.randrange(20)}"
            self.written.append(line)
            block += line.encode() + self.random.choice((b"\n", b"\n", b"\r\n"))
        cut = self.random.randrange(len(block)) if self.random.random() < 0.3 else len(block)
        self.app.write(block[:cut])
        self.unfinished = block[cut:]

    def finish_line(self) -> None:
        self.app.write(self.unfinished)
        self.unfinished = b""

    def trace(self) -> None:
        """Stack traces, now and then with a pause in one."""
        for _ in range(self.random.choice((1, 5))):
            lines = [f"{len(self.written)} ERROR failed"]
            lines += [f"\tat shop.Order.pay(Order.java:{len(self.written) + number})" for number in range(1, 4)]
            self.written += lines
            at = self.random.randrange(1, len(lines))
            self._append("traces.log", lines[:at])
            if self.random.random() < 0.1:
                time.sleep(0.15)
            self._append("traces.log", lines[at:])

    def _append(self, name: str, lines: list[str]) -> None:
        with (self.folder / "logs" / name).open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())

    # -- rotation ------------------------------------------------------------------------------------------------------

    def rename(self) -> None:
        """The writer may go on in the renamed file for a while, as one that waits for a signal does."""
        self.rotations += 1
        self.log.rename(self.folder / "logs" / f"app.log.{self.rotations}")
        self.write()
        self.finish_line()
        self.app.close()
        self.app = self.log.open("ab", buffering=0)

    def copytruncate(self) -> None:
        self.finish_line()
        self.rotations += 1
        shutil.copyfile(self.log, self.folder / "logs" / f"app.log.{self.rotations}")
        os.truncate(self.log, 0)

    def rename_again(self) -> None:
        """Rotated files move on, as with logrotate's numbers; unless one is deleted just now."""
        for path in sorted(self.folder.glob("logs/app.log.*")):
            with contextlib.suppress(FileNotFoundError):
                path.rename(
                    path.with_name(f"{path.name}.{self.random.randrange(100)}"[-120:].replace("log.", "log.o", 1))
                )

    def delete(self) -> None:
        """Delete the file as soon as the shipper holds it; what is written to it afterwards still counts."""
        if self.program is None or not self._holds_all():
            return
        self.log.unlink()
        self.write()
        self.finish_line()
        self.web.mode = self.search.mode = "ok"
        self.app.close()
        self.wait_for_all()
        self.app = self.log.open("ab", buffering=0)

    def _holds_all(self) -> bool:
        size = self.log.stat().st_size
        try:
            sinks = status(self.admin_port)["sinks"]
        except (httpx.HTTPError, KeyError):  # it is only just starting
            return False
        return any(item["path"] == str(self.log) and item["size"] == size for item in sinks["web"]["files"])

    # -- the shipper and its sinks -------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.program is None:
            self.program = Program(["-m", "sidecars.logshipper"], self.environ, self.folder)

    def kill(self) -> None:
        if self.program is not None:
            self.program.kill()
            self.program = None
            self.kills += 1

    def stop(self) -> None:
        """As by Kubernetes. With a sink that fails it may say 69; before Python has begun it just ends."""
        if self.program is not None:
            code = self.program.stop()
            assert code in (0, 69, -15), f"exit {code}:\n{self.program.stderr}"
            self.program = None

    def fail(self) -> None:
        self.random.choice((self.web, self.search)).mode = self.random.choice(_MODES)

    # -- judging -------------------------------------------------------------------------------------------------------

    def letters(self) -> list[dict[str, Any]]:
        """Once each: a crash repeats them."""
        texts = [path.read_text() for path in self.folder.glob("letters/search*.ndjson")]
        return list({letter["id"]: letter for text in texts for letter in map(json.loads, text.splitlines())}.values())

    def files(self) -> Counter[str]:
        """The lines in the file sink's files, as they are: nothing told apart by ids, only pieces put together."""
        lines: Counter[str] = Counter()
        pieces: dict[str, str] = {}
        for path in sorted(self.folder.glob("out/*.ndjson*")):
            for record in map(json.loads, path.read_text().split("\n")[:-1]):
                generation = record["id"].rpartition("-")[0]
                text = pieces.pop(generation, "") + record["message"]
                if record.get("partial"):
                    pieces[generation] = text
                else:
                    lines.update(text.split("\n"))
        lines.update(pieces.values())
        return lines

    def arrived(self) -> dict[str, Counter[str]]:
        return {
            "web": lines_of(self.web.records()),
            "search": lines_of(self.search.records() + self.letters()),
            "files": self.files(),
        }

    def wait_for_all(self) -> None:
        expected = dict.fromkeys(self.written, 1)
        latest = -1

        def all_there() -> bool:
            nonlocal latest
            written = [*self.folder.glob("out/*"), *self.folder.glob("letters/*")]
            size = len(self.web.stored) + len(self.search.documents) + sum(path.stat().st_size for path in written)
            if size == latest:
                return False
            latest = size
            return all(expected.keys() <= lines.keys() for lines in self.arrived().values())

        try:
            wait_until(all_there, "all lines arrive", 120)
        except AssertionError:
            self.raise_for_status()
            raise

    def raise_for_status(self) -> None:
        stderr = "".join(path.read_text() for path in sorted(self.folder.glob("stderr-*")))
        wrong: list[str] = []
        for sink, lines in self.arrived().items():
            for what, found in {
                "missing": [line[:30] for line in self.written if line not in lines],
                "repeated": [line[:30] for line, count in lines.items() if count > 1],
                "strange": [line[:40] for line in lines.keys() - set(self.written)],
            }.items():
                if found:
                    wrong.append(f"{sink}: {len(found)} {what}: {found[:5]}")
        kept = [letter["message"] for letter in self.letters()]
        if not all(message.startswith(_BAD) for message in kept):
            wrong.append(f"dead letters that are none: {kept[:5]}")
        if any(document["message"].startswith(_BAD) for document in self.search.documents.values()):
            wrong.append("a document that was refused is there")
        assert not wrong, f"{wrong}\n{stderr[-20000:]}"
        assert '"a defect' not in stderr, stderr[-20000:]

    # -- all of it -----------------------------------------------------------------------------------------------------

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.round()
        self.finish()

    def round(self) -> None:
        """Faults, lines, a rotation, and kill -9 (now and then SIGTERM) at whatever moment that is."""
        if self.random.random() < 0.9:
            self.start()
        self.fail()
        self.write()
        self.random.choice((self.write, self.trace))()
        time.sleep(self.random.choice((0, 0.02, 0.1)))
        rotations = (self.rename, self.copytruncate, self.rename_again, self.delete, self.write)
        self.random.choice(rotations)()
        if self.random.random() < 0.5:
            self.write()
        time.sleep(self.random.choice((0, 0.1, 0.4, 0.8)))  # how long it may work
        self.random.choice((self.kill, self.kill, self.kill, self.kill, self.kill, self.stop))()

    def finish(self) -> None:
        self.web.mode = self.search.mode = "ok"
        self.finish_line()
        self.start()
        self.wait_for_all()
        assert self.program is not None
        self.program.wait_ready(self.admin_port)
        wait_until(self._is_settled, "every ledger is settled")
        assert self.program.stop() == 0, self.program.stderr
        self.raise_for_status()

    def _is_settled(self) -> bool:
        sinks = status(self.admin_port)["sinks"]
        for name in _SINKS:
            assert sinks[name]["balanced"], sinks[name]
            allowed = {"dead_letter"} if name == "search" else set()
            dropped = {reason for reason, count in sinks[name]["dropped_bytes"].items() if count}
            assert dropped <= allowed, sinks[name]
        return all(sinks[name]["pending_bytes"] == 0 for name in _SINKS)

    def close(self) -> None:
        self.app.close()
        self.web.close()
        self.search.close()
        if self.program is not None:
            self.program.kill()

    def repeats(self) -> int:
        """Records that the HTTP receiver got more than once."""
        records = self.web.records()
        return len(records) - len({record["id"] for record in records})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--episode", type=int, default=50, help="rounds on one set of files")
    options = parser.parse_args()
    rounds, seed = 0, options.seed
    totals: Counter[str] = Counter()
    while rounds < options.rounds:
        with tempfile.TemporaryDirectory() as folder:
            chaos = Chaos(Path(folder), seed)
            try:
                chaos.run(min(options.episode, options.rounds - rounds))
            except AssertionError as error:
                print(f"seed {seed}: {error}")  # noqa: T201 - a program's answer
                return 1
            finally:
                chaos.close()
            totals["repeats"] += chaos.repeats()
            totals["letters"] += len(chaos.letters())
        rounds, seed = rounds + options.episode, seed + 1
        totals.update(rotations=chaos.rotations, kills=chaos.kills, lines=len(chaos.written))
    print(  # noqa: T201 - as above
        f"seeds {options.seed} to {seed - 1}: {rounds} rounds, {totals['kills']} times kill -9, "
        f"{totals['rotations']} rotations: {totals['lines']} lines to each of {len(_SINKS)} sinks, none lost, none "
        f"twice once told apart by id ({totals['repeats']} records were repeats), {totals['letters']} refused and kept"
    )
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
