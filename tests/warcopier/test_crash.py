"""Killed or told to stop at every step of a run: what Tomcat sees is whole at every instant, and the next run mends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.warcopier.support import RECORD, Copier, Outcome, deployed, leftovers, sha256, war

OLD = {"shop": war("old", size=1000)}
NEW = {"ROOT": war("root", size=200_000, seed=1), "shop": war("new", size=100_000, seed=2)}
INTERRUPTED = "tests.warcopier.interrupted"
ALL_NEW = {f"{name}.war": sha256(data) for name, data in NEW.items()}
ALL_OLD = {f"{name}.war": sha256(data) for name, data in OLD.items()}


def fresh(folder: Path) -> Copier:
    """A target with an old shop.war that an earlier run published, and a source with a new one and a ROOT.war."""
    copier = Copier(folder / "artifacts", folder / "webapps")
    copier.source.mkdir(parents=True)
    copier.target.mkdir()
    copier.offer(**OLD)
    assert copier.run().code == 0
    copier.offer(**NEW)
    return copier


def steps(copier: Copier) -> list[str]:
    outcome = copier.run("TRACE", "0", module=INTERRUPTED)
    assert outcome.code == 0, outcome.stderr
    return [line.split()[0] for line in outcome.stderr.splitlines() if not line.startswith("{")]


def at_every_step(mode: str, folder: Path) -> list[tuple[int, Copier, Outcome]]:
    """One interrupted run for each step that a whole run takes, and one that is not interrupted."""
    template = fresh(folder / "template")
    shutil.copytree(folder / "template", folder / "trace", symlinks=True)
    count = len(steps(Copier(folder / "trace" / "artifacts", folder / "trace" / "webapps")))
    assert count > 30

    def run(step: int) -> tuple[int, Copier, Outcome]:
        here = folder / f"step{step}"
        shutil.copytree(folder / "template", here, symlinks=True)
        copier = Copier(here / template.source.name, here / template.target.name)
        return step, copier, copier.run(mode, str(step), module=INTERRUPTED)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, range(1, count + 2)))


def test_killed_at_any_step_it_leaves_every_war_old_or_new_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    outcomes = at_every_step("KILL", tmp_path)
    assert [outcome.code for _, _, outcome in outcomes] == [-9] * (len(outcomes) - 1) + [0]
    some_left = some_old = False
    for step, copier, _ in outcomes:
        seen = deployed(copier.target)
        assert seen["shop.war"] in (ALL_OLD["shop.war"], ALL_NEW["shop.war"]), step
        assert seen.get("ROOT.war") in (None, ALL_NEW["ROOT.war"]), step
        some_left = some_left or bool(leftovers(copier.target))
        some_old = some_old or seen == ALL_OLD
        again = copier.run()
        assert again.code == 0, again.stderr
        assert deployed(copier.target) == ALL_NEW, step
        assert copier.names() == [RECORD, "ROOT.war", "shop.war"], step
    assert some_left
    assert some_old


def test_told_to_stop_at_any_step_it_leaves_all_old_or_all_new_and_nothing_of_its_own(tmp_path: Path) -> None:
    outcomes = at_every_step("TERM", tmp_path)
    states = []
    for step, copier, outcome in outcomes:
        seen = deployed(copier.target)
        assert seen in (ALL_OLD, ALL_NEW), step
        assert leftovers(copier.target) == [], (step, outcome.stderr)
        assert outcome.code in (0, 74), outcome.stderr
        if outcome.code == 74:
            assert outcome.last == "stopped by SIGTERM before the work was done"
        assert (outcome.code == 0) == (seen == ALL_NEW), "what it says of itself is true"
        states.append(seen == ALL_NEW)
    assert states == sorted(states), "once all is published it stays so"
    assert outcomes[0][2].code == 74
    assert outcomes[-1][2].code == 0


def test_an_error_between_two_renames_is_told_with_the_names_that_are_published_already(copier: Copier) -> None:
    copier.offer(**NEW)
    failing = (
        "import errno, itertools, os, sys; from chassis import commandline; from sidecars.warcopier import app;"
        "from sidecars.warcopier.settings import Settings; rename, calls = os.rename, itertools.count(1);"
        "os.rename = lambda *args, **kwargs: rename(*args, **kwargs) if next(calls) == 1 else os.close(-1);"
        "sys.exit(commandline.job(Settings, app.run))"
    )
    failed = subprocess.run(
        [sys.executable, "-c", failing], env=copier.environ({}), capture_output=True, text=True, check=False
    )
    assert failed.returncode == 74
    last = json.loads(failed.stderr.splitlines()[-1])["msg"]
    assert "cannot be written: Bad file descriptor; published before that: ROOT.war; run again for the rest" in last
    assert deployed(copier.target) == {"ROOT.war": ALL_NEW["ROOT.war"]}
    assert leftovers(copier.target) == []
    assert copier.run().code == 0
    assert deployed(copier.target) == ALL_NEW


def test_what_is_renamed_is_on_the_disk_before_and_the_directory_after(copier: Copier) -> None:
    copier.offer(**NEW)
    order = steps(copier)
    first, last = order.index("rename"), len(order) - 1 - order[::-1].index("rename")
    written = [at for at, step in enumerate(order[:first]) if step in ("copy_file_range", "sendfile", "pwrite")]
    flushed = [at for at, step in enumerate(order[:first]) if step == "fsync"]
    assert len(flushed) == len(NEW)
    assert written
    assert max(written) < flushed[-1] < first
    assert "fsync" in order[last:]
    assert order[first : first + 3] == ["rename", "rename", "fsync"], "all at once, then the directory"


def test_a_watcher_that_plays_tomcat_sees_only_whole_wars_while_it_publishes(copier: Copier) -> None:
    versions = [war(f"v{number}", size=8_000_000, seed=number) for number in range(3)]
    allowed = {sha256(version) for version in versions}
    stop = threading.Event()
    seen: list[dict[str, str]] = []
    problems: list[BaseException] = []

    def watch() -> None:
        while not stop.is_set():
            try:
                seen.append(deployed(copier.target))
            except FileNotFoundError:
                pass  # a name that was listed and renamed away is no file that Tomcat deploys
            except BaseException as problem:  # noqa: BLE001 - whatever Tomcat would trip over
                problems.append(problem)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for version in versions * 2:
            copier.offer(shop=version)
            assert copier.run().code == 0
    finally:
        stop.set()
        watcher.join()
    assert problems == []
    published = [state["shop.war"] for state in seen if state]
    assert set(published) <= allowed
    assert len(published) > 3
    assert all(seen[seen.index({"shop.war": published[0]}) :]), "there is no instant without a WAR"


def test_a_run_that_lives_is_not_swept_away_by_another(copier: Copier, tmp_path: Path) -> None:
    copier.offer(**NEW)
    pipe = tmp_path / "hold"
    os.mkfifo(pipe)
    holding = (
        "import sys; from sidecars.warcopier import publish; from chassis import commandline;"
        "from sidecars.warcopier import app; from sidecars.warcopier.settings import Settings;"
        "commit = publish.Target.commit;"
        f"publish.Target.commit = lambda *args: (open({str(pipe)!r}).read(), commit(*args))[1];"
        "sys.exit(commandline.job(Settings, app.run))"
    )
    first = subprocess.Popen([sys.executable, "-c", holding], env=copier.environ({}), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(leftovers(copier.target)) == 3, "a lock and two staged files")
        # Opened for writing only once the first run waits there: its lock is held, all is staged.
        with pipe.open("w"):
            held = leftovers(copier.target)
            assert copier.run().code == 0
            assert leftovers(copier.target) == held
        assert first.wait(30) == 0
    finally:
        first.kill()
        first.wait()
    assert deployed(copier.target) == ALL_NEW
    assert leftovers(copier.target) == []


@pytest.mark.parametrize(
    "name",
    [
        ".warcopier-0123456789abcdef.lock",
        ".warcopier-0123456789abcdef-1.staging",
        ".warcopier-0123456789abcdef-17.staging",
    ],
)
def test_what_an_earlier_run_left_is_removed(copier: Copier, name: str) -> None:
    copier.offer(**NEW)
    (copier.target / name).write_bytes(b"half")
    (copier.target / name).chmod(0o400)
    assert copier.run().code == 0
    assert leftovers(copier.target) == []


@pytest.mark.parametrize(
    "name",
    [
        ".warcopier-.staging",
        ".warcopier-0123456789ABCDEF-1.staging",
        ".warcopier-0123456789abcdef-x.staging",
        ".warcopier-0123456789abcdef-1.staging.bak",
        "warcopier-0123456789abcdef.lock",
        "shop.staging",
        "README",
    ],
)
def test_what_is_not_exactly_ours_is_left_alone(copier: Copier, name: str) -> None:
    copier.offer(**NEW)
    (copier.target / name).write_bytes(b"somebody's")
    assert copier.run().code == 0
    assert leftovers(copier.target) == [name]
