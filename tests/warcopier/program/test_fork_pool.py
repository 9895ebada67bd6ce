"""The program that unpacks with a forked child: it succeeds, and neither process outlives the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.warcopier.support import UNPACK, Copier, deployed, entries, leftovers, tree_digest, war

LARGE = war("large", size=1_500_000)


ALTERED = """
import os, sys
from sidecars.chassis import commandline
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
from sidecars.warcopier.transfer.fork_pool import ForkPool

os.sched_getaffinity = lambda _: {0, 1}
run, exit_if_orphaned = ForkPool.run, ForkPool._exit_if_orphaned

def die(*_):
    os.kill(os.getpid(), 9)

def run_later(self, on_progress):
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return run(self, on_progress)

def hang(*_):
    os.read(0, 1)

def exit_when_orphaned(self):
    while os.getppid() == self._parent:
        pass
    exit_if_orphaned(self)

"""


RUN = "sys.exit(commandline.job(Settings, app.run))"


@pytest.fixture
def unpacking(copier: Copier) -> Copier:
    copier.offer(shop=LARGE)
    return copier


def test_a_large_archive_is_unpacked_as_a_small_one(unpacking: Copier) -> None:
    outcome = unpacking.run(**UNPACK)
    assert outcome.code == 0, outcome.stderr
    assert deployed(unpacking.target) == {"shop": tree_digest(entries(LARGE))}


def altered(copier: Copier, how: str) -> subprocess.Popen[str]:
    """Start the program with other functions in place of methods of `ForkPool`."""
    program = [sys.executable, "-c", f"{ALTERED}{how}\n{RUN}"]
    environ = copier.environ(UNPACK)
    return subprocess.Popen(program, env=environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_when_the_child_is_killed_nothing_is_published_and_the_reason_is_told(unpacking: Copier) -> None:
    copier = altered(unpacking, "ForkPool._on_child_written, ForkPool.run = die, run_later")
    _, said = copier.communicate()
    assert copier.returncode == 74, said
    assert "the process that shares the work has died" in said.splitlines()[-1]
    assert deployed(unpacking.target) == {}
    assert leftovers(unpacking.target) == []


def test_when_the_copier_is_killed_its_child_ends_and_the_next_run_cleans_up(unpacking: Copier) -> None:
    copier = altered(unpacking, "ForkPool._exit_if_orphaned, ForkPool.run = exit_when_orphaned, hang")
    listed = Path(f"/proc/{copier.pid}/task/{copier.pid}/children")
    child = int(wait_until(listed.read_text, "a child"))
    copier.kill()
    copier.communicate()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")
    assert leftovers(unpacking.target) != []
    assert unpacking.run(**UNPACK).code == 0
    assert leftovers(unpacking.target) == []
    assert deployed(unpacking.target) == {"shop": tree_digest(entries(LARGE))}
