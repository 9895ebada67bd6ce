"""Chaos over the real program: kill -9, rotations and sink faults, with what arrived as the judge.

    python -m tests.logshipper.chaos [--rounds N] [--seed N]

An app writes numbered lines, in whole and in halves, and rotates its file in every way; the receiver fails in every
way; the shipper is killed, or told to stop, and started again, at any moment. In the end every line must have arrived,
and once repeats are dropped by their ids, exactly once. A round is one such act. Prints one line, exits 1 on any loss.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.logshipper.support import Receiver, environ, lines_of, status
from tests.support import Program, free_port, wait_until

_MODES = ("ok", "ok", "ok", "lost", "503", "429", "403", "hang", "limit:9000")


class Chaos:
    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.receiver = Receiver()
        self.admin_port = free_port()
        self.environ = environ(
            folder,
            self.admin_port,
            LOGSHIPPER_PATHS=f"{folder}/logs/app.log*",
            LOGSHIPPER_SINK=self.receiver.url,
            LOGSHIPPER_BATCH_SIZE="8KiB",
            LOGSHIPPER_MAX_LINE_SIZE="4KiB",
            LOGSHIPPER_ROTATE_WAIT="300ms",
            LOGSHIPPER_LOG_LEVEL="debug",
            LOGSHIPPER_DRAIN_TIMEOUT="500ms",
        )
        self.program: Program | None = None
        self.log = folder / "logs" / "app.log"
        self.app = self.log.open("ab", buffering=0)
        self.unfinished = b""
        self.written: list[str] = []
        self.rotations = 0
        self.kills = 0
        self.start()

    # -- the acts ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.program is None:
            self.program = Program(["-m", "sidecars.logshipper"], self.environ, self.folder)

    def kill(self) -> None:
        if self.program is not None:
            self.program.kill()
            self.program = None
            self.kills += 1
        if self.random.random() < 0.5:
            self.start()

    def stop(self) -> None:
        """As by Kubernetes. With a sink that fails it may say 69; before Python has begun it just ends."""
        if self.program is not None:
            code = self.program.stop()
            assert code in (0, 69, -15), f"exit {code}:\n{self.program.stderr}"
            self.program = None

    def write(self) -> None:
        block = self.unfinished
        for _ in range(self.random.choice((1, 3, 30, 300))):
            size = self.random.choice((0, 10, 100, 100, 100, 1000, 9000)) if len(block) < 50_000 else 0
            line = f"{len(self.written)} {'ü' * (size // 2)}{'x' * self.random.randrange(20)}"
            self.written.append(line)
            block += line.encode() + self.random.choice((b"\n", b"\n", b"\r\n"))
        cut = self.random.randrange(len(block)) if self.random.random() < 0.3 else len(block)
        self.app.write(block[:cut])
        self.unfinished = block[cut:]

    def finish_line(self) -> None:
        self.app.write(self.unfinished)
        self.unfinished = b""

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
        """Rotated files move on, as with logrotate's numbers."""
        for path in sorted(self.folder.glob("logs/app.log.*")):
            path.rename(path.with_name(f"{path.name}.{self.random.randrange(100)}"[-120:].replace("log.", "log.o", 1)))

    def delete(self) -> None:
        """Delete the file as soon as the shipper holds it; what is written to it afterwards still counts."""
        if self.program is None or not self._holds_all():
            return
        self.log.unlink()
        self.write()
        self.finish_line()
        self.receiver.mode = "ok"
        self.app.close()
        self.wait_for_all()
        self.app = self.log.open("ab", buffering=0)

    def fail(self) -> None:
        self.receiver.mode = self.random.choice(_MODES)

    # -- judging -------------------------------------------------------------------------------------------------------

    def _holds_all(self) -> bool:
        inode_size = self.log.stat().st_size
        try:
            files = status(self.admin_port)["sinks"]["default"]["files"]
        except (httpx.HTTPError, KeyError):  # it is only just starting
            return False
        return any(item["path"] == str(self.log) and item["size"] == inode_size for item in files)

    def wait_for_all(self) -> None:
        expected = dict.fromkeys(self.written, 1)
        seen = -1

        def arrived() -> bool:
            nonlocal seen
            if len(self.receiver.stored) == seen:
                return False
            seen = len(self.receiver.stored)
            return expected.keys() <= lines_of(self.receiver.records()).keys()

        try:
            wait_until(arrived, "all lines arrive", 20)
        except AssertionError:
            self.judge()
            raise

    def judge(self) -> None:
        lines = lines_of(self.receiver.records())
        missing = [line[:20] for line in self.written if line not in lines]
        repeated = [line[:20] for line, count in lines.items() if count > 1]
        strange = [line[:40] for line in lines.keys() - set(self.written)]
        stderr = "".join(path.read_text() for path in sorted(self.folder.glob("stderr-*")))
        wrong = missing or repeated or strange
        assert not wrong, (
            f"missing {len(missing)}: {missing[:5]}, repeated {len(repeated)}: {repeated[:5]}, "
            f"strange {len(strange)}: {strange[:5]}\n{stderr[-20000:]}"
        )
        assert '"a defect' not in stderr, stderr[-20000:]

    def run(self, rounds: int) -> None:
        acts = [self.write] * 8 + [self.fail] * 3 + [self.kill] * 5 + [self.start] * 4
        acts += [
            self.stop,
            self.rename,
            self.rename,
            self.copytruncate,
            self.copytruncate,
            self.rename_again,
            self.delete,
        ]
        for _ in range(rounds):
            self.random.choice(acts)()
            if self.random.random() < 0.5:
                self.write()
            time.sleep(self.random.choice((0, 0.01, 0.1, 0.4)))  # how long the next act lets it work
        self.finish()

    def finish(self) -> None:
        self.receiver.mode = "ok"
        self.finish_line()
        self.start()
        self.wait_for_all()
        assert self.program is not None
        self.program.wait_ready(self.admin_port)
        page = status(self.admin_port)
        assert page["sinks"]["default"]["balanced"], page
        assert self.program.stop() == 0, self.program.stderr
        self.judge()

    def close(self) -> None:
        self.app.close()
        self.receiver.close()
        if self.program is not None:
            self.program.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--episode", type=int, default=50, help="rounds on one set of files")
    options = parser.parse_args()
    rounds, rotations, kills, lines, repeats, seed = 0, 0, 0, 0, 0, options.seed
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
            repeats += len(chaos.receiver.records()) - len({record["id"] for record in chaos.receiver.records()})
        rounds, seed = rounds + options.episode, seed + 1
        rotations, kills, lines = rotations + chaos.rotations, kills + chaos.kills, lines + len(chaos.written)
    print(  # noqa: T201 - as above
        f"seeds {options.seed} to {seed - 1}: {rounds} rounds, {kills} times kill -9, {rotations} rotations: "
        f"{lines} lines, none lost, none twice once told apart by id ({repeats} records were repeats)"
    )
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
