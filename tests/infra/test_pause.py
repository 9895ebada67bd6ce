"""pause, built from its source with the machine's own compiler, does what infra/README.md promises.

arm64 on another machine needs a cross compiler and qemu-user. If a tool is missing, the test is skipped with its name;
in CI it fails, so that no skipped check reads as passed.
"""

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support import PATIENCE, ROOT, wait_until

MACHINE = platform.machine()
# The program waits in one system call and in no other: /proc/PID/syscall shows its number.
RT_SIGTIMEDWAIT = {"x86_64": "128", "aarch64": "137"}
PR_SET_CHILD_SUBREAPER = 36

Start = Callable[..., subprocess.Popen[bytes]]


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def tool(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    unavailable(f"none of {', '.join(names)} is installed")


def documented_flags() -> list[str]:
    """Return the build command of infra/README.md, so that the page stays true."""
    command = re.search(r"^cc (.*) -o pause infra/pause\.S$", (ROOT / "infra/README.md").read_text(), re.MULTILINE)
    assert command is not None
    return command[1].split()


@pytest.fixture(scope="module", params=["x86_64", "aarch64"])
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pause(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compilers = [f"{architecture}-linux-gnu-gcc", *(["cc", "gcc"] if architecture == MACHINE else [])]
    binary = tmp_path_factory.mktemp(architecture) / "pause"
    subprocess.run([tool(*compilers), *documented_flags(), "-o", binary, ROOT / "infra/pause.S"], check=True)
    return binary


@pytest.fixture(scope="module")
def command(architecture: str, pause: Path) -> list[str]:
    if architecture == MACHINE:
        return [str(pause)]
    return [tool(f"qemu-{architecture}", f"qemu-{architecture}-static"), str(pause)]


def sleeps(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] == RT_SIGTIMEDWAIT[MACHINE]
    return False


def exists(pid: int) -> bool:
    """Return True if the process exists. A zombie does, until it is reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def start(command: list[str]) -> Iterator[Start]:
    """Start pause, yield it when it sleeps, and end it."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*prefix: str, **options: Any) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen([*prefix, *command], **options)
        started.append(process)
        wait_until(lambda: sleeps(process.pid), "pause to sleep")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_status_0_when_told_to(start: Start, stop: signal.Signals) -> None:
    process = start()
    process.send_signal(stop)
    assert process.wait(timeout=PATIENCE) == 0


def test_it_obeys_even_where_the_parent_left_the_signal_ignored(start: Start) -> None:
    process = start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 0


def test_a_stop_and_continue_leaves_it_asleep(start: Start) -> None:
    process = start()
    for _ in range(20):
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        wait_until(lambda: sleeps(process.pid), "pause to sleep again")
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0


# Becomes pause, as the parent of one child that is dead already and as the heir (subreaper) of that child's children.
FAMILY = f"""
import ctypes, os, sys
pids, gate, size, *command = sys.argv[1:]
ctypes.CDLL(None).prctl({PR_SET_CHILD_SUBREAPER}, 1, 0, 0, 0)
if (child := os.fork()) == 0:
    for _ in range(int(size)):
        if os.fork() == 0:
            os.write(int(pids), b"%d\\n" % os.getpid())
            os.read(int(gate), 1)  # until the test opens the gate
            os._exit(0)
    os._exit(0)
os.write(int(pids), b"%d\\n" % child)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # dead, and still there
os.execv(command[0], command)
"""


def test_it_reaps_children_from_before_its_start_and_orphans_that_it_inherits(start: Start) -> None:
    pids_out, pids_in = os.pipe()
    gate_out, gate_in = os.pipe()
    size = 32
    process = start(sys.executable, "-c", FAMILY, str(pids_in), str(gate_out), str(size), pass_fds=[pids_in, gate_out])
    os.close(pids_in)
    os.close(gate_out)
    with os.fdopen(pids_out) as lines:
        pids = [int(next(lines)) for _ in range(size + 1)]
        os.close(gate_in)  # the orphans die at about the same time, behind fewer signals than deaths
    wait_until(lambda: not any(map(exists, pids)), "every child to be reaped")
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0


def test_it_uses_no_cpu_while_it_sleeps(start: Start) -> None:
    process = start()

    def ticks() -> int:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(0.5)  # the time that is measured, not a wait for anything: a busy loop would use 50 ticks of it
    assert ticks() - before <= 1
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0


def test_as_process_1_it_reaps_orphans_and_obeys_although_it_has_no_handler(command: list[str]) -> None:
    unshare, nsenter = tool("unshare"), tool("nsenter")
    if subprocess.run([unshare, "--pid", "--fork", "true"], check=False, capture_output=True).returncode:
        unavailable("this user may not make a PID namespace")
    outer = subprocess.Popen([unshare, "--pid", "--fork", "--kill-child", *command])
    try:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        wait_until(lambda: bool(children.read_text()) and sleeps(int(children.read_text())), "pause to sleep")
        pause = int(children.read_text())
        inside = [nsenter, "--target", str(pause), "--pid", "sh", "-c"]
        orphan = "for i in 1 2 3 4; do (sleep 0.0$i & ) ; done"
        subprocess.run([*inside, orphan], check=True)
        inherited = Path(f"/proc/{pause}/task/{pause}/children")
        wait_until(lambda: not inherited.read_text(), "every orphan to be reaped")
        assert sleeps(pause)
        # From inside, where the kernel shields process 1. With it the kernel ends the whole namespace, this shell too.
        subprocess.run([*inside, "kill -TERM 1"], check=False)
        assert outer.wait(timeout=PATIENCE) == 0
    finally:
        outer.kill()
        outer.wait()


def test_it_is_one_static_file_of_less_than_1500_bytes(pause: Path, architecture: str) -> None:
    headers = subprocess.run([tool("readelf"), "-lhW", pause], check=True, capture_output=True, text=True).stdout
    assert pause.stat().st_size < 1500
    assert "INTERP" not in headers  # no loader
    assert "DYNAMIC" not in headers  # no libraries
    assert re.search(r"GNU_STACK .* RW ", headers)  # no executable stack
    assert ("AArch64" if architecture == "aarch64" else "X86-64") in headers
