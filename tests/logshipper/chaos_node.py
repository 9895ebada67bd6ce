"""The chaos of a node agent: the files of several Pods as the runtime and the kubelet keep them.

The runtime writes lines in the CRI format, the long ones in pieces. The kubelet renames a log, compresses it at the
next rotation under another name, renames that copy, and deletes the original. Kills fall before and behind each of
these steps, which also go on while no shipper runs. New Pods come, and none goes: no file is deleted whose lines are
nowhere else. At the end each line is there once, with the name of its Pod.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar

from tests.logshipper.chaos_app import ChaosApp
from tests.logshipper.chaos_runs import Chaos
from tests.logshipper.node import Kubelet
from tests.logshipper.support import Receiver, lines_of

_FIRST, _MOST = 2, 5  # Pods
_PIECE = 400  # bytes of a line, above which it is cut; 16 KiB in a real runtime


class _Container:
    """The log of the only container of a Pod: the runtime writes it, and the kubelet rotates it."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True)
        self.log = log
        self._kubelet = Kubelet(log)
        self._steps = cycle(Kubelet.STEPS)
        self._file = log.open("ab", buffering=0)
        self._unfinished = b""

    def write(self, block: bytes, cut: int) -> None:
        """Write the bytes of whole lines, but for the last ones: these are written with the next lines."""
        block = self._unfinished + block
        self._unfinished = block[len(block) - cut :]
        self._file.write(block.removesuffix(self._unfinished))

    def take_step(self) -> str:
        """Let the kubelet take its next step. The runtime reopens its log a moment after the kubelet has renamed it."""
        step = next(self._steps)
        self._kubelet.take(step)
        if step == "rename the log":
            self.write(b"", 0)
            self.close()
            self._file = self.log.open("ab", buffering=0)
        return step

    def close(self) -> None:
        self._file.close()


class NodeApp(ChaosApp):
    """The apps of a node."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self._containers: list[_Container] = []
        for _ in range(_FIRST):
            self.add_pod()

    def add_pod(self) -> None:
        """Begin the log of one more Pod."""
        if (number := len(self._containers)) < _MOST:
            self._containers.append(
                _Container(self.folder / "logs" / f"shop_pod{number}_uid{number}" / "app" / "0.log")
            )

    def write(self) -> None:
        """Let one Pod write some lines."""
        number = self.random.randrange(len(self._containers))
        block = b""
        for _ in range(self.random.choice((1, 3, 30, 150))):
            size = self.random.choice((0, 10, 100, 100, 1000))
            self.written.append(f"pod{number} {len(self.written)} {'ü' * (size // 2)}{'x' * self.random.randrange(20)}")
            block += self._entries(self.written[-1].encode())
        self._containers[number].write(block, self.random.randrange(200) if self.random.random() < 0.3 else 0)

    @staticmethod
    def _entries(line: bytes) -> bytes:
        entries = b""
        while len(line) > _PIECE:
            entries += b"2026-11-30T10:11:12.131415161Z stdout P %s\n" % line[:_PIECE]
            line = line[_PIECE:]
        return entries + b"2026-11-30T10:11:12.131415161Z stdout F %s\n" % line

    def take_step(self) -> None:
        """Let the kubelet take a step with the log of one Pod."""
        step = self.random.choice(self._containers).take_step()
        self.rotations += step == "rename the log"
        self.compressed = sum(1 for _ in self.folder.glob("logs/*/*/*.gz"))

    def finish_line(self) -> None:
        for container in self._containers:
            container.write(b"", 0)

    def close(self) -> None:
        super().close()
        for container in self._containers:
            container.close()


class NodeChaos(Chaos):
    """The files of one node with a shipper that has two sinks: over HTTP, and files."""

    names: ClassVar[tuple[str, ...]] = ("web", "files")
    is_killed_at_work = True
    app: NodeApp

    def create_app(self) -> NodeApp:
        return NodeApp(self.folder, self.random)

    def open_sinks(self, seed: int) -> dict[str, str]:
        self.web = Receiver()
        logs = f"{self.folder}/logs"
        return {
            "LOGSHIPPER_APP_PATHS": f"{logs}/*/*/*.log*",
            "LOGSHIPPER_APP_PATH_FIELDS": f"{logs}/{{namespace}}_{{pod}}_{{pod_uid}}/{{container}}/{{restart}}.log*",
            "LOGSHIPPER_APP_FORMAT": "cri",
            "LOGSHIPPER_COMPRESSED": "auto",
            "LOGSHIPPER_DELETE_DELIVERED": "false",
            "LOGSHIPPER_WEB_SINK": self.web.url,
            "LOGSHIPPER_WEB_IN_FLIGHT": ("1", "3")[seed % 2],
            "LOGSHIPPER_FILES_SINK": f"file://{self.folder}/out",
        }

    def fail(self) -> None:
        self.web.mode = self.random.choice(("ok", "ok", "ok", "lost", "503", "429", "hang"))

    def repair(self) -> None:
        self.web.mode = "ok"

    def arrived(self) -> dict[str, Counter[str]]:
        return {"web": lines_of(self.web.records()), "files": self.files()}

    def size(self) -> int:
        return len(self.web.stored) + sum(path.stat().st_size for path in self.folder.glob("out/*"))

    def letters(self) -> list[dict[str, Any]]:
        return []

    def wrong_rejections(self) -> list[str]:
        heads = ((each, *each["message"].partition(" ")[:2]) for each in self.web.records())
        strangers = [  # a line that was unfinished when the shipper ended is in parts, of which one has no name
            each for each, name, space in heads if space and name.startswith("pod") and name != each.get("pod")
        ]
        return [f"lines of another Pod: {strangers[:3]}"] if strangers else []

    def close_sinks(self) -> None:
        self.web.close()

    def round(self) -> None:
        """Write, let the kubelet work, and kill the shipper at any moment."""
        if self.random.random() < 0.9:
            self.start()
        self.fail()
        for _ in range(self.random.choice((2, 4, 8))):
            self.app.write()
            self.random.choice((self.app.take_step, self.app.take_step, self.app.take_step, self.app.add_pod))()
            time.sleep(self.random.choice((0, 0, 0.02, 0.1)))
        self.let_it_work()
        self.random.choice((self.kill, self.kill, self.kill, self.kill, self.kill, self.stop))()
        self.change_while_away()

    def change_while_away(self) -> None:
        while self.program is None and self.random.random() < 0.5:
            self.app.take_step()
            self.app.write()
