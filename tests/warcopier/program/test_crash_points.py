"""Killed at each system call that changes a file, it leaves each WAR whole: the old one or the new one.

`test_crash` kills at the calls of Python's `os`; here strace counts those of the kernel, also of libraries.
CRASH_POINTS=all (`make chaos`) takes every call; else every sixth one is taken.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash_points import KILLED, Point, points, run
from tests.warcopier.support import MANIFEST, PRUNE, UNPACK, Copier, deployed, entries, sha256, tree_digest, war

pytestmark = pytest.mark.timeout(900)

ALL = os.environ.get("CRASH_POINTS") == "all"
COMMAND = [sys.executable, "-m", "sidecars.warcopier"]
OLD = {"shop": war("old", size=1000), "gone": war("gone")}
NEW = {"ROOT": war("root", size=100_000, seed=1), "shop": war("new", size=50_000, seed=2)}
MODES = {"archives": PRUNE, "directories": PRUNE | UNPACK}


def prepared(folder: Path, settings: dict[str, str]) -> Copier:
    """Return a copier whose target has the WARs of an earlier run, and whose source has new ones."""
    copier = Copier(folder / "artifacts", folder / "webapps")
    copier.source.mkdir(parents=True)
    copier.target.mkdir()
    copier.offer(**OLD)
    assert copier.run(**settings).code == 0
    (copier.source / "gone.war").unlink()
    copier.offer(**NEW)
    return copier


def run_below_strace(copier: Copier, settings: dict[str, str], kill: Point | None = None) -> int:
    environ = copier.environ({"PYTHONDONTWRITEBYTECODE": "1", **settings})
    return run(COMMAND, environ, copier.source.parent / "trace", kill)


def served(wars: dict[str, bytes], settings: dict[str, str]) -> dict[str, str]:
    """Return what Tomcat would serve of these WARs."""
    if UNPACK.items() <= settings.items():
        return {name: tree_digest(entries(data)) for name, data in wars.items()}
    return {f"{name}.war": sha256(data) for name, data in wars.items()}


@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_system_call_that_changes_a_file_each_war_is_whole(tmp_path: Path, mode: str) -> None:
    settings = MODES[mode]
    old, new = served(OLD, settings), served(NEW, settings)
    whole = prepared(tmp_path / "whole", settings)
    assert run_below_strace(whole, settings) == 0
    every = points(tmp_path / "whole" / "trace", whole.target, by_place=False)
    assert len(every) > 12

    def killed_at(point: Point) -> tuple[bool, list[str]]:
        copier = prepared(tmp_path / str(point).replace(" ", "-"), settings)
        killed = run_below_strace(copier, settings, point) == KILLED
        seen = deployed(copier.target)  # fails for a WAR that is not whole
        names = old.keys() | new.keys() | seen.keys()
        wrong = [name for name in names if seen.get(name) not in (old.get(name), new.get(name))]
        wrong += [] if copier.run(**settings).code == 0 else ["the next run fails"]
        wrong += [] if deployed(copier.target) == new else ["the next run does not publish all"]
        wrong += [] if copier.names() == sorted([MANIFEST, *new]) else ["the next run leaves what is not its own"]
        return killed, wrong

    chosen = every if ALL else every[::6]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = dict(zip(chosen, pool.map(killed_at, chosen), strict=True))
    assert {str(point): wrong for point, (_, wrong) in outcomes.items() if wrong} == {}
    assert all(killed for killed, _ in outcomes.values()), "each kill came: the calls are the same in each run"
