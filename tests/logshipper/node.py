"""The files of a node's Pods as the kubelet keeps them, and a logshipper without a process."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.logshipper.pod import Pod
from tests.logshipper.support import append

LINE = "x" * 99 + "\n"


class Node(Pod):
    """The files of a node's Pods, and a logshipper without a process."""

    def __init__(self, folder: Path, **environ: str) -> None:
        logs = folder / "logs"
        fields = f"{logs}/{{namespace}}_{{pod}}_{{pod_uid}}/{{container}}/{{restart}}.log*"
        pods = {"LOGSHIPPER_PATHS": f"{logs}/*/*/*.log*", "LOGSHIPPER_PATH_FIELDS": fields}
        super().__init__(folder, **pods, **environ)

    def write(self, namespace: str, pod: str, lines: int, container: str = "app", line: str = LINE) -> None:
        path = self.logs / f"{namespace}_{pod}_uid-{pod}" / container / "0.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        append(path, line * lines)

    def batch(self, room: int = 512 * 1024) -> dict[str, int]:
        """Deliver one batch. Return the bytes of each `namespace/pod`."""
        in_flight = self.send("default", self.queues["default"].collect(room))
        self.settle(in_flight)
        self.check()
        sizes: dict[str, int] = {}
        for records in in_flight.content.records:
            name = f"{records.labels['namespace']}/{records.labels['pod']}"
            sizes[name] = sizes.get(name, 0) + sum(records.sizes)
        return sizes


class Kubelet:
    """Rotates the log of one container, in the steps of the kubelet's container_log_manager."""

    STEPS = ("compress", "rename the copy", "delete the original", "rename the log")

    def __init__(self, log: Path) -> None:
        self.log = log
        self._rotations = 0

    def take(self, step: str) -> None:
        """Take one of STEPS."""
        earlier = [path for path in self.log.parent.glob("0.log.*") if path.suffix not in (".gz", ".tmp")]
        for path in earlier:
            partial, whole = path.with_name(f"{path.name}.tmp"), path.with_name(f"{path.name}.gz")
            if step == "compress":
                partial.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            elif step == "rename the copy":
                partial.rename(whole)
            elif step == "delete the original":
                path.unlink()
        if step == "rename the log":
            self._rotations += 1
            self.log.rename(self.log.with_name(f"0.log.20261130-10111{self._rotations}"))
