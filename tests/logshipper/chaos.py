"""The chaos program: kill -9, rotations and faults of sinks over the real program, judged by the lines that arrive.

    python -m tests.logshipper.chaos [--rounds N] [--seed N]

The app (`chaos_app`) writes numbered lines and stack traces, and rotates its file in every way. Three sinks fail
independently: an HTTP receiver with several batches in flight, an Elasticsearch that rejects single documents or wants
them again, and files. A round:

1. a sink's behaviour changes;
2. lines are written;
3. the file is rotated in one of the ways;
4. the shipper is killed at any moment; sometimes it gets SIGTERM.

Up to 50 rounds use the same files. At the end:

- the HTTP receiver has every line, exactly once after repeats are dropped by their ids;
- Elasticsearch has every line exactly once, except the rejected ones, which are in the dead letters with their reasons;
- the files have every line exactly once, without dropping repeats;
- in every ledger nothing is pending, and nothing was dropped except the rejected lines.

The program prints one line. It exits with 1 if a line was lost or repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.logshipper.chaos_app import BAD, ChaosApp
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.support import Receiver, environ, lines_of, status
from tests.support import Program, free_port, wait_until

_MODES = ("ok", "ok", "ok", "lost", "503", "429", "403", "hang", "limit:17000", "400")
_SINKS = ("web", "search", "files")


class RefusalSearch(Elasticsearch):
    """An Elasticsearch that rejects the lines that begin with BAD, and wants some others again."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def _create(self, action: Any, line: bytes) -> dict[str, Any]:
        message = json.loads(line)["message"]
        if message.startswith(BAD):
            self.verdicts[message] = [400]
        elif self._chance.random() < 0.003:
            self.verdicts[message] = [429]
        return super()._create(action, line)

    def records(self) -> list[dict[str, Any]]:
        return [{"id": ident, **document} for ident, document in self.documents.copy().items()]


class Chaos:
    """One set of files with an app, a shipper and three sinks."""

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
        self.app = ChaosApp(folder, self.random)
        self.kills = 0
        self.start()

    # -- the shipper and its sinks -------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Delete the file once the shipper holds it open. Lines that are written to it afterwards must arrive, too."""
        if self.program is None or not self._holds_all():
            return
        self.app.unlink()
        self.web.mode = self.search.mode = "ok"
        self.wait_for_all()
        self.app.reopen()

    def _holds_all(self) -> bool:
        size = self.app.log.stat().st_size
        try:
            sinks = status(self.admin_port)["sinks"]
        except (httpx.HTTPError, KeyError):  # it has only just started
            return False
        return any(item["path"] == str(self.app.log) and item["size"] == size for item in sinks["web"]["files"])

    def start(self) -> None:
        if self.program is None:
            self.program = Program(["-m", "sidecars.logshipper"], self.environ, self.folder)

    def kill(self) -> None:
        if self.program is not None:
            self.program.kill()
            self.program = None
            self.kills += 1

    def stop(self) -> None:
        """Stop the shipper with SIGTERM. It exits with 69 if a sink fails, and by the signal if Python has not
        started.
        """
        if self.program is not None:
            code = self.program.stop()
            assert code in (0, 69, -15), f"exit {code}:\n{self.program.stderr}"
            self.program = None

    def fail(self) -> None:
        self.random.choice((self.web, self.search)).mode = self.random.choice(_MODES)

    # -- judging -------------------------------------------------------------------------------------------------------

    def letters(self) -> list[dict[str, Any]]:
        """Return the dead letters, each once: a crash repeats them."""
        texts = [path.read_text() for path in self.folder.glob("letters/search*.ndjson")]
        return list({letter["id"]: letter for text in texts for letter in map(json.loads, text.splitlines())}.values())

    def files(self) -> Counter[str]:
        """Return the lines in the file sink's files. Pieces are joined, and repeats are not dropped."""
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
        expected = dict.fromkeys(self.app.written, 1)
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
                "missing": [line[:30] for line in self.app.written if line not in lines],
                "repeated": [line[:30] for line, count in lines.items() if count > 1],
                "strange": [line[:40] for line in lines.keys() - set(self.app.written)],
            }.items():
                if found:
                    wrong.append(f"{sink}: {len(found)} {what}: {found[:5]}")
        kept = [letter["message"] for letter in self.letters()]
        if not all(message.startswith(BAD) for message in kept):
            wrong.append(f"dead letters that were not rejected: {kept[:5]}")
        if any(document["message"].startswith(BAD) for document in self.search.documents.values()):
            wrong.append("a rejected document was stored")
        assert not wrong, f"{wrong}\n{stderr[-20000:]}"
        assert '"a defect' not in stderr, stderr[-20000:]

    # -- all of it -----------------------------------------------------------------------------------------------------

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.round()
        self.finish()

    def round(self) -> None:
        """Change a sink's behaviour, write lines, rotate, and kill the shipper (sometimes with SIGTERM) at any
        moment.
        """
        if self.random.random() < 0.9:
            self.start()
        self.fail()
        app = self.app
        app.write()
        self.random.choice((app.write, app.trace))()
        time.sleep(self.random.choice((0, 0.02, 0.1)))
        rotations = (app.rename, app.copytruncate, app.rename_again, self.delete, app.write)
        self.random.choice(rotations)()
        if self.random.random() < 0.5:
            app.write()
        time.sleep(self.random.choice((0, 0.1, 0.4, 0.8)))  # the time that it has to work
        self.random.choice((self.kill, self.kill, self.kill, self.kill, self.kill, self.stop))()

    def finish(self) -> None:
        self.web.mode = self.search.mode = "ok"
        self.app.finish_line()
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
        """Return how many records the HTTP receiver got more than once."""
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
                print(f"seed {seed}: {error}")  # noqa: T201 - a program's output
                return 1
            finally:
                chaos.close()
            totals["repeats"] += chaos.repeats()
            totals["letters"] += len(chaos.letters())
        rounds, seed = rounds + options.episode, seed + 1
        totals.update(rotations=chaos.app.rotations, kills=chaos.kills, lines=len(chaos.app.written))
    print(  # noqa: T201 - a program's output
        f"seeds {options.seed} to {seed - 1}: {rounds} rounds, {totals['kills']} times kill -9, "
        f"{totals['rotations']} rotations: {totals['lines']} lines to each of {len(_SINKS)} sinks, none lost, none "
        f"twice once told apart by id ({totals['repeats']} records were repeats), {totals['letters']} refused and kept"
    )
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
