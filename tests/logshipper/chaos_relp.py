"""The chaos of the sink `relp`, with a real rsyslog, which stops, hangs and is killed, too.

At the end rsyslog's file has every line, exactly once after repeats are dropped by their ids, and by the number of the
part: long lines are split. rsyslog writes a message to its file before it responds (`queue.type="Direct"`), so that a
kill takes nothing that it has acknowledged.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from tests.logshipper.chaos_runs import Chaos
from tests.logshipper.rsyslog import config
from tests.logshipper.support import lines_of
from tests.support import free_port, peer, responds, wait_until

_ATTRIBUTE = re.compile(r' (\w+)="((?:[^"\\\]]|\\.)*)"')


class Rsyslog:
    """One rsyslog, which is started and ended again and again. Owned by its `RelpChaos`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        tls = 'parser.escapeControlCharactersOnReceive="off"'
        text = config(folder, self.port, tls, module="imrelp", size="8k", of_ruleset='queue.type="Direct"')
        (folder / "rsyslog.conf").write_text(text)

    def start(self) -> None:
        """Start it, or let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            return
        command = [peer("rsyslogd"), "-n", "-i", str(self.folder / "rsyslog.pid"), "-f", f"{self.folder}/rsyslog.conf"]
        with (self.folder / "rsyslog.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def hang(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(60)
            self._process = None
            (self.folder / "rsyslog.pid").unlink(missing_ok=True)

    def records(self) -> list[dict[str, Any]]:
        """Return the events of its file. A line that it had not written in full when it was killed is left out."""
        path = self.folder / "understood"
        messages = [_parsed(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []
        parts: dict[str, dict[str, dict[str, Any]]] = {}  # id -> part -> message
        for message in messages:
            if message is not None:
                parts.setdefault(message["id"], {})[message["part"]] = message
        return [_joined(list(found.values())) for found in parts.values() if _is_whole(found)]

    def repeats(self) -> int:
        """Return how many messages its file has more than once."""
        path = self.folder / "understood"
        places = [(one["id"], one["part"]) for line in path.read_bytes().splitlines() if (one := _parsed(line))]
        return len(places) - len(set(places))


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return id, part, text and whether it is a piece of a line; None of a line that is torn."""
    try:
        understood = json.loads(line)
    except ValueError:
        return None
    found = dict(_ATTRIBUTE.findall(understood["data"]))
    return {"part": "1/1", **found, "message": understood["text"], "partial": found.get("partial") == "true"}


def _is_whole(parts: dict[str, Any]) -> bool:
    return len(parts) == int(next(iter(parts)).partition("/")[2])


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    parts.sort(key=lambda one: int(one["part"].partition("/")[0]))
    return {**parts[0], "message": "".join(one["message"] for one in parts)}


class RelpChaos(Chaos):
    """One set of files with an app, a shipper and an rsyslog."""

    names: ClassVar[tuple[str, ...]] = ("relp",)

    def open_sinks(self, seed: int) -> dict[str, str]:
        self.rsyslog = Rsyslog(self.folder)
        self.repair()
        wait_until(lambda: responds(self.rsyslog.port), "rsyslog listens")
        return {
            "LOGSHIPPER_RELP_SINK": f"relp://127.0.0.1:{self.rsyslog.port}",
            "LOGSHIPPER_RELP_IN_FLIGHT": ("1", "3")[seed % 2],
            "LOGSHIPPER_RELP_SINK_MAX_MESSAGE": "2KiB",
        }

    def fail(self) -> None:
        server = self.rsyslog
        self.random.choice((server.start, server.start, server.start, server.hang, server.stop, server.kill))()

    def repair(self) -> None:
        self.rsyslog.start()

    def arrived(self) -> dict[str, Counter[str]]:
        return {"relp": lines_of(self.rsyslog.records())}

    def size(self) -> int:
        path = self.folder / "understood"
        return path.stat().st_size if path.exists() else 0

    def repeats(self) -> int:
        return self.rsyslog.repeats()

    def wrong_rejections(self) -> list[str]:
        return [f"dead letters: {letters[:5]}"] if (letters := self.letters()) else []

    def close_sinks(self) -> None:
        self.rsyslog.kill()
