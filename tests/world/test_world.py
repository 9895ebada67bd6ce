"""The sidecars in a world of virtual time, network and disk: README.md says what that is, and how to see a seed again.

Each run is a process of its own: clocks and chance are replaced before the code of the sidecars is imported.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.world.names import FAULTS, FOUND_BY, WORLDS

SEEDS = 500 // len(WORLDS)  # of each world
MOST = 400  # seeds within which a fault must be found


def world(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.world", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", WORLDS)
def test_every_promise_holds_in_every_seed(name: str) -> None:
    run = world("--world", name, "--seeds", f"0-{SEEDS - 1}")

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]


@pytest.mark.parametrize("name", WORLDS)
def test_a_seed_is_replayed_bit_for_bit_by_another_process(name: str) -> None:
    """The record of a run has every event with its virtual time, and the digest of all of it."""
    first, second = (world("--world", name, "--seed", "7") for _ in range(2))

    assert first.stdout == second.stdout
    assert "digest " in first.stdout


@pytest.mark.parametrize(("fault", "name"), FAULTS.items())
def test_a_deliberate_fault_is_found_so_the_world_can_fail(fault: str, name: str) -> None:
    known = FOUND_BY.get(fault, 0)
    run = world("--mutant", fault, "--seeds", f"{known}-{known}")
    if run.returncode == 0:  # it finds the fault no more
        run = world("--mutant", fault, "--seeds", f"0-{MOST - 1}")

    assert run.returncode == 1, run.stdout + run.stderr
    assert f"python -m tests.world --world {name} --seed" in run.stdout
    found = re.search(r"BROKEN by seed (\d+)", run.stdout)
    assert found
    if int(found[1]) >= SEEDS:  # those below are known to hold
        healthy = world("--world", name, "--seeds", f"{found[1]}-{found[1]}")
        assert healthy.returncode == 0, f"seed {found[1]} is broken without the fault, too, and so it finds nothing"
