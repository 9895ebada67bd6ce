"""A follower over a real directory, with a clock that the test sets, and lists as sinks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar

from sidecars.chassis.config.settings import load
from sidecars.logshipper.app import cutting_rules, file_groups, log_volumes
from sidecars.logshipper.config import routing
from sidecars.logshipper.delivery.in_flight import InFlightBatch
from sidecars.logshipper.delivery.sink_queue import SinkQueue
from sidecars.logshipper.input.followed_files import Inputs
from sidecars.logshipper.input.follower import Follower
from sidecars.logshipper.input.rotation import missed_files
from sidecars.logshipper.input.rotation.rotated_file_deletion import RotatedFilePolicy
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.ledger import Ledger
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.state.store import Store
from sidecars.logshipper.transform.pipeline import Pipeline

ROTATE_WAIT = 30.0


class Pod:
    """Log files and a logshipper without a process: the follower, queues and ledgers are real."""

    alive: ClassVar[list[Pod]] = []
    """The pods of the current test; `conftest` closes their files at its end."""

    def __init__(self, folder: Path, *sinks: str, **environ: str) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir(exist_ok=True)
        self.log = self.logs / "app.log"
        self.state_dir = folder / "state"
        self.names = sinks or ("default",)
        self.environ = {"LOGSHIPPER_PATHS": f"{self.logs}/*.log", "LOGSHIPPER_SINK": "http://h/", **environ}
        self.environ.setdefault("LOGSHIPPER_STATE_DIR", str(self.state_dir))
        self.delete = False
        self.most = 0  # open files; 0: no limit
        self.now = 0.0
        self.got: dict[str, list[str]] = {name: [] for name in self.names}
        self.records: list[str] = []
        self.alive.append(self)
        self.begin()

    def begin(self) -> None:
        self.store = Store(self.state_dir, "LOGSHIPPER_STATE_DIR")
        self.store.open()
        self.store.add_sinks(self.names)
        self.ledgers = {name: Ledger() for name in self.names}
        settings = load(Settings, self.environ)
        inputs = settings.inputs
        self.pipelines = {name: Pipeline(tailed, {}) for name, tailed in inputs.items()}
        cutting = {name: cutting_rules(tailed, self.pipelines[name]) for name, tailed in inputs.items()}
        named = settings.sinks.keys() == set(self.names)  # else the sinks are lists that no setting knows
        routes = routing.sinks_of_inputs(inputs, settings.sinks) if named else None
        self.follower = Follower(
            Inputs(inputs, cutting, log_volumes(settings, self.environ), routes, settings.close_inactive),
            RotatedFilePolicy(ROTATE_WAIT, delete=self.delete, max_held=settings.max_held),
            self.store,
            self.ledgers,
            lambda: self.now,
        )
        self.follower.open_files.set_limit(self.most or self.follower.open_files.limit)
        groups = file_groups(inputs, self.pipelines)
        self.queues = {name: SinkQueue(name, self.follower, self.store, groups=groups) for name in self.names}
        self.follower.start()

    def kill(self) -> None:
        """Stop as kill -9 does: everything that was not written is lost."""
        for tail in self.follower.tails.values():
            tail.close()
        self.store.close()

    async def restart(self) -> None:
        """Save the state, stop and start again."""
        await self.store.save()
        self.kill()
        self.begin()

    def look(self, later: float = 1.0) -> None:
        self.now += later
        self.follower.scan()
        self.check()

    def look_until_gone(self) -> None:
        """Scan until a file that is missed counts as gone."""
        for _ in range(missed_files.LEAST + 1):
            self.look(ROTATE_WAIT)

    def ship(self, sink: str = "default", room: int = 100_000, *, batches: int = 1000) -> list[str]:
        """Deliver everything, in batches of at most `room` bytes. Return the delivered lines."""
        lines: list[str] = []
        for _ in range(batches):
            chunks = self.queues[sink].collect(room)
            if not chunks:
                break
            in_flight = self.send(sink, chunks)
            lines += b"".join(in_flight.content.raw()).decode().splitlines()
            self.settle(in_flight)
            self.check()
        self.got[sink] += lines
        return lines

    def send(self, sink: str, chunks: list[Chunk]) -> InFlightBatch:
        """Put a batch in flight."""
        at = self.queues[sink].sending(chunks)
        records = self.process(chunks, at)
        self.queues[sink].note_times(chunks)
        return InFlightBatch(sink, chunks, records, at=at)

    def settle(self, in_flight: InFlightBatch) -> None:
        """Accept all of a batch."""
        self.queues[in_flight.content.sink].settle(in_flight.chunks, in_flight.dropped, in_flight.receipt)

    def process(self, chunks: list[Chunk], at: int = 0) -> tuple[Records, ...]:
        return tuple(self.pipelines[chunk.input].process(chunk, at) for chunk in chunks if chunk.data)

    @staticmethod
    def lines_of(chunks: list[Chunk]) -> list[str]:
        return b"".join(chunk.data for chunk in chunks).decode().splitlines()

    def rotate(self) -> None:
        """Rotate as logrotate does: each numbered file gets the next number, then the log becomes number one."""
        for number in (3, 2, 1):
            path = self.logs / f"app.log.{number}"
            if path.exists():
                path.rename(path.with_name(f"app.log.{number + 1}"))
        self.log.rename(self.logs / "app.log.1")

    def check(self) -> None:
        for name, ledger in self.ledgers.items():
            tails = self.follower.tails.items()
            pending = {file: tail.pending(name) for file, tail in tails if name in tail.sinks}
            assert ledger.check(pending) == []

    def dropped(self, sink: str = "default") -> Counter[str]:
        return self.ledgers[sink].total.dropped
