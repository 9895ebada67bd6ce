"""Exactly once in Kafka, over kill -9: the real program, a real broker, and a proxy between that loses answers.

    python -m tests.logshipper.kafka_chaos [--rounds N] [--seed N]

An app writes numbered lines to two files. A round:

1. lines are written;
2. the shipper is started, and killed at any moment, most often in the middle of a transaction;
3. now and then it becomes a *zombie* instead: it is stopped (SIGSTOP), a successor takes over with a copy of its state,
   and then the zombie goes on, beside the successor.

The proxy loses answers of EndTxn, TxnOffsetCommit and Produce, and requests. At the end a reader with `read_committed`
has every line exactly once, the lines of each file in their order, and every zombie was fenced.

The program prints one line. It exits with 1 if a line was lost or repeated, or if a zombie was not fenced.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.logshipper import kafka_broker
from tests.logshipper.receivers import kafka_proxy
from tests.logshipper.receivers.kafka_proxy import KafkaProxy
from tests.logshipper.support import append, environ, metric
from tests.support import Program, free_port, wait_until

TOPIC, PARTITIONS = "logs", 3
_FILES = ("app", "access")
_LINES = 150  # of a file and a round, at most
_LOSSES = {
    kafka_proxy.END_TXN: 0.06,
    kafka_proxy.TXN_OFFSET_COMMIT: 0.02,
    kafka_proxy.PRODUCE: 0.01,
    kafka_proxy.INIT_PRODUCER_ID: 0.02,
}


@dataclass
class Outcome:
    """What a run has shown."""

    kills: int = 0
    zombies: int = 0
    fenced: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    repeated: int = 0
    disordered: int = 0
    lines: int = 0

    @property
    def is_right(self) -> bool:
        return not (self.missing or self.repeated or self.disordered or self.fenced < self.zombies)


class KafkaChaos:
    """One run. `port`: that of the broker. `zombies`: one round of so many has a zombie."""

    def __init__(self, folder: Path, seed: int, port: int, zombies: int = 25) -> None:
        self._zombies = zombies
        self._chance = random.Random(seed)
        self._folder = folder
        self._broker = port
        self._proxy = KafkaProxy(port, self._chance)
        self._written: dict[str, int] = dict.fromkeys(_FILES, 0)
        self._state = folder / "state"
        self._runs = 0
        self._running = contextlib.ExitStack()
        self.outcome = Outcome()
        (folder / "logs").mkdir(exist_ok=True)

    def run(self, rounds: int) -> Outcome:
        """Run the rounds, ship the rest without losses, and compare."""
        kafka_broker.create_topics_now(self._broker, **{TOPIC: PARTITIONS})
        self._proxy.lost_answers = dict(_LOSSES)
        self._proxy.lost_requests = {key: share / 2 for key, share in _LOSSES.items()}
        with self._running, contextlib.closing(self._proxy):
            for number in range(rounds):
                self._write()
                if number % self._zombies == self._zombies // 2:
                    self._zombie_round()
                else:
                    self._round()
            self._proxy.lost_answers = self._proxy.lost_requests = {}
            self._finish()
        self._compare()
        self.outcome.lost = self._proxy.lost
        return self.outcome

    # -- rounds --------------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        for name in _FILES:
            first = self._written[name]
            count = self._chance.randint(1, _LINES)
            text = "".join(f"{name} {first + at} {'x' * self._chance.randint(0, 200)}\n" for at in range(count))
            append(self._folder / "logs" / f"{name}.log", text)
            self._written[name] += count

    def _round(self) -> None:
        program, _ = self._start(self._state)
        before = self._proxy.seen.total()
        # most kills hit the process while it sends: wait for its first requests, and then for a moment
        wanted = before + self._chance.randint(0, 45)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._proxy.seen.total() >= wanted, "requests", 2.0)
        time.sleep(self._chance.random() * 0.01)
        program.kill()
        self.outcome.kills += 1

    def _zombie_round(self) -> None:
        """Stop a process in the middle of its work, let a successor take over, and let it go on."""
        zombie, admin = self._start(self._state)
        wanted = self._proxy.seen.total() + self._chance.randint(15, 40)
        zombie.wait_ready(admin)

        def is_busy() -> bool:
            """Return True in the middle of the work: a process that has shipped all that there is gets more."""
            if self._proxy.seen.total() < wanted and self._is_shipped(admin):
                self._write()
            return self._proxy.seen.total() >= wanted

        wait_until(is_busy, f"requests of the zombie; so far:\n{zombie.stderr}")
        zombie.signal(signal.SIGSTOP)
        state = self._folder / f"state-{self._runs}"
        shutil.copytree(self._state, state)
        self._state = state
        self._write()
        successor, admin = self._start(state)
        self._wait_shipped(successor, admin)
        zombie.signal(signal.SIGCONT)
        self._write()
        self.outcome.zombies += 1
        fenced = "this process is fenced: another one has its transactional id, and nothing is sent any more"
        self.outcome.fenced += bool(zombie.wait_logged(fenced))
        self._wait_shipped(successor, admin)
        successor.kill()
        zombie.kill()
        self.outcome.kills += 2

    def _start(self, state: Path) -> tuple[Program, int]:
        self._runs += 1
        folder = self._folder / "runs" / str(self._runs)
        folder.mkdir(parents=True)
        admin = free_port()
        variables = environ(
            self._folder,
            admin,
            LOGSHIPPER_SINK=f"kafka://127.0.0.1:{self._proxy.port}/{TOPIC}",
            LOGSHIPPER_STATE_DIR=str(state),
            LOGSHIPPER_BATCH_SIZE="4KiB",
            LOGSHIPPER_COMPRESSION=self._chance.choice(["none", "zstd", "lz4"]),
            LOGSHIPPER_REQUEST_TIMEOUT="5s",
            POD_NAME="shop-1",
            POD_NAMESPACE="prod",
        )
        program = Program(["-m", "sidecars.logshipper"], variables, folder)
        self._running.callback(program.kill)  # also when a round fails
        return program, admin

    def _is_shipped(self, admin: int) -> bool:
        return metric(admin, 'logshipper_pending_bytes{sink="default"}') == 0

    def _wait_shipped(self, program: Program, admin: int) -> None:
        program.wait_ready(admin)
        wait_until(lambda: self._is_shipped(admin), "everything is shipped")

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        program, admin = self._start(self._state)
        self._wait_shipped(program, admin)
        assert program.stop() == 0, program.stderr

    def _compare(self) -> None:
        seen: dict[str, list[int]] = {name: [] for name in _FILES}
        for record in kafka_broker.records(self._broker, TOPIC, PARTITIONS):
            name, number, _ = record.message.split(" ")
            seen[name].append(int(number))
        outcome = self.outcome
        for name, count in self._written.items():
            numbers = Counter(seen[name])
            outcome.lines += count
            outcome.missing += sum(number not in numbers for number in range(count))
            outcome.repeated += sum(times - 1 for times in numbers.values())
            outcome.disordered += sum(
                later < earlier for earlier, later in zip(seen[name], seen[name][1:], strict=False)
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)  # noqa: T201 - a command line prints
    with tempfile.TemporaryDirectory() as folder, kafka_broker.running(Path(folder, "broker")) as port:
        outcome = KafkaChaos(Path(folder), arguments.seed, port).run(arguments.rounds)
    print(outcome)  # noqa: T201 - a command line prints
    return 0 if outcome.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
