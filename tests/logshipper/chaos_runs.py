"""The runs of the chaos program: one set of files with an app, a shipper and its sinks, in rounds of faults.

A profile (`chaos_relp`, `chaos_compressed`) derives from `Chaos`, and says which sinks there are, how they fail, and
what they have at the end.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import httpx

from tests.logshipper.chaos_app import BAD, ChaosApp
from tests.logshipper.receivers.elasticsearch import Elasticsearch
from tests.logshipper.support import Receiver, environ, lines_of, status
from tests.support import Program, free_port, wait_until

_PATIENCE = 60.0  # seconds in which something must arrive
_MODES = ("ok", "ok", "ok", "lost", "503", "429", "403", "hang", "limit:17000", "400")


def _objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects in the whole lines of a file: the last one may be only half written."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


class RefusalSearch(Elasticsearch):
    """An Elasticsearch that rejects the lines that begin with BAD, and wants some others again."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def _create(self, action: Any, line: bytes, default: str) -> dict[str, Any]:
        message = json.loads(line)["message"]
        if message.startswith(BAD):
            self.verdicts[message] = [400]
        elif self._chance.random() < 0.003:
            self.verdicts[message] = [429]
        return super()._create(action, line, default)

    def records(self) -> list[dict[str, Any]]:
        return [{"id": ident, **document} for ident, document in self.documents.copy().items()]


class Chaos:
    """One set of files with an app, a shipper and three sinks: over HTTP, a search, and files."""

    names: ClassVar[tuple[str, ...]] = ("web", "search", "files")
    is_killed_at_work = False
    """True if most kills wait until something has arrived: on a busy machine a start takes longer than a round."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.admin_port = free_port()
        settings = {
            "LOGSHIPPER_APP_PATHS": f"{folder}/logs/app.log*",
            "LOGSHIPPER_TRACES_PATHS": f"{folder}/logs/traces.log",
            "LOGSHIPPER_TRACES_MULTILINE": "java",
            "LOGSHIPPER_TRACES_MULTILINE_TIMEOUT": "100ms",
            "LOGSHIPPER_BATCH_SIZE": "16KiB",
            "LOGSHIPPER_MAX_LINE_SIZE": "4KiB",
            "LOGSHIPPER_ROTATE_WAIT": "300ms",
            "LOGSHIPPER_DELETE_DELIVERED": "true" if seed % 2 else "false",
            "LOGSHIPPER_LOG_LEVEL": "debug",
            "LOGSHIPPER_DRAIN_TIMEOUT": "500ms",
            "LOGSHIPPER_REQUEST_TIMEOUT": "500ms",
        }
        self.environ = environ(folder, self.admin_port, **{**settings, **self.open_sinks(seed)})
        del self.environ["LOGSHIPPER_PATHS"]
        self.program: Program | None = None
        self.app = self.create_app()
        self.kills = 0
        self.start()

    def create_app(self) -> ChaosApp:
        return ChaosApp(self.folder, self.random)

    # -- the sinks -----------------------------------------------------------------------------------------------------

    def open_sinks(self, seed: int) -> dict[str, str]:
        """Start the receivers. Return the settings of the sinks."""
        self.web, self.search = Receiver(), RefusalSearch(random.Random(seed))
        return {
            "LOGSHIPPER_WEB_SINK": self.web.url,
            "LOGSHIPPER_WEB_IN_FLIGHT": "3",
            "LOGSHIPPER_SEARCH_SINK": self.search.url,
            "LOGSHIPPER_SEARCH_ON_REJECT": f"{self.folder}/letters",
            "LOGSHIPPER_FILES_SINK": f"file://{self.folder}/out",
        }

    def fail(self) -> None:
        """Change the behaviour of a sink."""
        self.random.choice((self.web, self.search)).mode = self.random.choice(_MODES)

    def repair(self) -> None:
        """Let all sinks accept lines."""
        self.web.mode = self.search.mode = "ok"

    def arrived(self) -> dict[str, Counter[str]]:
        """Return the lines that each sink has."""
        return {
            "web": lines_of(self.web.records()),
            "search": lines_of(self.search.records() + self.letters()),
            "files": self.files(),
        }

    def size(self) -> int:
        """Return a number that grows with all that arrives."""
        written = [*self.folder.glob("out/*"), *self.folder.glob("letters/*")]
        return len(self.web.stored) + len(self.search.documents) + sum(path.stat().st_size for path in written)

    def repeats(self) -> int:
        """Return how many records a receiver got more than once."""
        records = self.web.records()
        return len(records) - len({record["id"] for record in records})

    def close_sinks(self) -> None:
        self.web.close()
        self.search.close()

    # -- the shipper ---------------------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Delete the file once the shipper holds it open. Lines that are written to it afterwards must arrive, too."""
        if self.program is None or not self._holds_all():
            return
        self.app.unlink()
        self.repair()
        self.wait_for_all()
        self.app.reopen()

    def _holds_all(self) -> bool:
        size = self.app.log.stat().st_size
        try:
            sinks = status(self.admin_port)["sinks"]
        except (httpx.HTTPError, KeyError):  # it has only just started
            return False
        return any(item["path"] == str(self.app.log) and item["size"] == size for item in sinks[self.names[0]]["files"])

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

    # -- judging -------------------------------------------------------------------------------------------------------

    def letters(self) -> list[dict[str, Any]]:
        """Return the dead letters, each once: a crash repeats them."""
        letters = (letter for path in self.folder.glob("letters/search*.ndjson") for letter in _objects(path))
        return list({letter["id"]: letter for letter in letters}.values())

    def files(self) -> Counter[str]:
        """Return the lines in the file sink's files. Pieces are joined, and repeats are not dropped."""
        lines: Counter[str] = Counter()
        pieces: dict[str, str] = {}
        for path in sorted(self.folder.glob("out/*.ndjson*")):
            for record in _objects(path):
                generation = record["id"].rpartition("-")[0]
                text = pieces.pop(generation, "") + record["message"]
                if record.get("partial"):
                    pieces[generation] = text
                else:
                    lines.update(text.split("\n"))
        lines.update(pieces.values())
        return lines

    def wait_for_all(self) -> None:
        expected = dict.fromkeys(self.app.written, 1)
        latest = -1

        def all_there() -> bool:
            nonlocal latest
            size = self.size()
            if size == latest:
                return False
            latest = size
            return all(expected.keys() <= lines.keys() for lines in self.arrived().values())

        while True:
            before = self.size()
            try:
                wait_until(all_there, "all lines arrive", _PATIENCE)
            except AssertionError:
                if self.size() == before:  # else the machine is busy
                    self.raise_for_status()
                    raise
            else:
                return

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
        wrong += self.wrong_rejections()
        assert not wrong, f"{wrong}\n{stderr[-20000:]}"
        assert '"a defect' not in stderr, stderr[-20000:]

    def wrong_rejections(self) -> list[str]:
        """Return what is wrong with the lines that a sink has rejected."""
        wrong = []
        kept = [letter["message"] for letter in self.letters()]
        if not all(message.startswith(BAD) for message in kept):
            wrong.append(f"dead letters that were not rejected: {kept[:5]}")
        if any(document["message"].startswith(BAD) for document in self.search.documents.values()):
            wrong.append("a rejected document was stored")
        return wrong

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
        self.random.choice((app.rename, app.copytruncate, app.rename_again, self.delete, app.write))()
        if self.random.random() < 0.5:
            app.write()
        self.let_it_work()
        self.random.choice((self.kill, self.kill, self.kill, self.kill, self.kill, self.stop))()
        self.change_while_away()

    def let_it_work(self) -> None:
        """Wait, for no time or for some, until the shipper may be killed."""
        if self.is_killed_at_work:
            before, until = self.size(), time.monotonic() + self.random.choice((0, 4, 4, 4))
            while self.program is not None and self.size() == before and time.monotonic() < until:
                time.sleep(0.005)
        time.sleep(self.random.choice((0, 0.1, 0.4, 0.8)))

    def change_while_away(self) -> None:
        """Change files while no shipper runs."""

    def finish(self) -> None:
        self.repair()
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
        for name in self.names:
            assert sinks[name]["balanced"], sinks[name]
            allowed = {"dead_letter"} if name == "search" else set()
            dropped = {reason for reason, count in sinks[name]["dropped_bytes"].items() if count}
            assert dropped <= allowed, sinks[name]
        return all(sinks[name]["pending_bytes"] == 0 for name in self.names)

    def close(self) -> None:
        self.app.close()
        self.close_sinks()
        if self.program is not None:
            self.program.kill()
