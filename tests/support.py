"""Helpers for tests of real programs: free ports, waiting for a condition, and a sidecar as a process."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import settings

from sidecars import chassis
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
CODE = Path(chassis.__file__).resolve().parents[2]  # where programs find theirs: where the tests have found it
UNITS = "units"  # profile of Hypothesis with few examples, for `pytest --units`
PATIENCE = 120.0  # seconds; generous, since a busy machine is no failure

_ports = free_ports()
_next_port = threading.Lock()  # tests start servers in threads, too

T = TypeVar("T")


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a property test with that many examples; with `--units` it has no more than the others.

    A test asks for another number than the 100 of Hypothesis by it, and not by `settings(max_examples=…)`, which would
    hold with `--units`, too.
    """
    few = settings.get_current_profile_name() == UNITS
    return settings(max_examples=min(count, settings().max_examples) if few else count, **more)


def free_port() -> int:
    """Return a free TCP port on loopback, never the same one twice, and none that another process of tests has got."""
    with _next_port:
        return next(_ports)


def wait_until(condition: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Return the first truthy value of the condition. Fail with `what` if there is none in time."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(0.01)


def is_served(url: str) -> bool:
    """Return True if the URL is answered with 200."""
    try:
        return get(url).status_code == 200
    except httpx.TransportError:
        return False


def get(url: str, **headers: str) -> httpx.Response:
    """Return the response, however long a busy machine takes for it."""
    return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE)


def own_descriptors() -> set[str]:
    """Return the numbers of the descriptors of this process, once those are closed that earlier tests left to garbage.

    A test requires that there are no new ones (`<=`): a thread that an earlier test left may close one at any time.
    """
    gc.collect()
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of numbers


class Program:
    """A program under test. Its environment has only the given variables; its stderr goes to a file.

    With `stderr` it goes to that descriptor instead.
    """

    def __init__(
        self, arguments: list[str], environ: Mapping[str, str], folder: Path, *, stderr: int | None = None
    ) -> None:
        self.stderr_file = folder / f"stderr-{time.monotonic_ns()}"
        self.stdout_file = folder / f"stdout-{time.monotonic_ns()}"
        self._is_sidecar = arguments[0] == "-m" and arguments[1].startswith("sidecars.")
        with self.stderr_file.open("wb") as kept, self.stdout_file.open("wb") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{CODE}:{ROOT}", **environ},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=kept if stderr is None else stderr,
            )

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text(errors="replace")

    @property
    def stdout(self) -> str:
        return self.stdout_file.read_text(errors="replace")

    @property
    def logs(self) -> list[dict[str, Any]]:
        """Return the whole log lines so far."""
        return [json.loads(line) for line in self.stderr.split("\n")[:-1] if line.startswith("{")]

    def logged(self, msg: str) -> dict[str, Any] | None:
        """Wait for the first log line with that message, and return it."""
        return next((line for line in self.logs if line["msg"] == msg), None)

    def wait_logged(self, msg: str) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            if self.process.poll() is not None and not self.logged(msg):
                raise AssertionError(f"ended with {self.process.returncode} before {msg!r}:\n{self.stderr}")
            return self.logged(msg)

        return wait_until(seen, f"the log line {msg!r}; so far:\n{self.stderr}")

    def wait_ready(self, admin_port: int) -> None:
        """Wait for 200 from /readyz on the admin port."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before it was ready:\n{self.stderr}")
            try:
                return get(f"http://127.0.0.1:{admin_port}/readyz").is_success
            except httpx.TransportError:
                return False

        wait_until(ready, "ready")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the end, and return the exit code."""
        return self.process.wait(patience)

    def stop(self, patience: float = PATIENCE) -> int:
        """Send SIGTERM, and return the exit code. A sidecar gets it once it has a handler: before, Python would die."""
        if self._is_sidecar:
            wait_until(lambda: self._handles(signal.SIGTERM), "a handler of SIGTERM")
        self.signal(signal.SIGTERM)
        return self.wait(patience)

    def _handles(self, number: int) -> bool:
        """True if the program has a handler of the signal (SigCgt, proc(5)), or has ended."""
        if self.process.poll() is not None:
            return True
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


# -- peers: programs of others -----------------------------------------------------------------------------------------


def peer(name: str) -> str:
    """Return the path of the program. Without it the test is skipped; in CI it fails, so that no skip passes."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/lib/nagios/plugins")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


@contextlib.contextmanager
def serving(folder: Path, config: str, command: list[str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the command with a file of that config as its last argument. Yield its address when it listens."""
    port = free_port()
    file = folder / f"{port}.conf"
    file.write_text(config.format(port=port, folder=folder))
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen([*command, str(file)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: responds(port) or process.poll() is not None, f"{command[0]} listening")
        assert process.poll() is None, (folder / f"{port}.log").read_text()
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(30)


def responds(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((host, port)) == 0
