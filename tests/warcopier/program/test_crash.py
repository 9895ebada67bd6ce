"""Killed or stopped at every step of a run: Tomcat always sees whole WARs, and the next run repairs the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecars.chassis.runtime.light_dataclasses import replace
from sidecars.warcopier.artifacts import fingerprint
from sidecars.warcopier.target import manifest
from tests.support import wait_until
from tests.warcopier.archives import packed
from tests.warcopier.support import (
    MANIFEST,
    PRUNE,
    UNPACK,
    Copier,
    Outcome,
    deployed,
    entries,
    leftovers,
    noise,
    sha256,
    tree_digest,
    war,
)

pytestmark = pytest.mark.timeout(900)  # hundreds of runs of the program, each a few seconds on a busy machine

OLD = {"shop": war("old", size=1000), "gone": war("gone")}
NEW = {"ROOT": war("root", size=200_000, seed=1), "shop": war("new", size=100_000, seed=2), "tiny": war("tiny")}
INTERRUPTED = "tests.warcopier.interrupted"
STAGING = 1 if os.environ.get("CRASH_POINTS") == "all" else 4  # `make chaos` takes all


@dataclass(frozen=True)
class Scenario:
    """The settings of an earlier run and of this one, and the artifacts that Tomcat sees before and after it."""

    earlier: dict[str, str]
    settings: dict[str, str]
    old: dict[str, str]
    new: dict[str, str]


def archives(wars: dict[str, bytes], version: str = "") -> dict[str, str]:
    return {f"{name}{version}.war": sha256(data) for name, data in wars.items()}


def directories(wars: dict[str, bytes]) -> dict[str, str]:
    return {name: tree_digest(entries(data)) for name, data in wars.items()}


ALL_NEW = archives(NEW)
SCENARIOS = {
    "archives": Scenario({}, PRUNE, archives(OLD), archives(NEW)),
    "directories": Scenario(UNPACK, UNPACK | PRUNE, directories(OLD), directories(NEW)),
    "archives, then directories": Scenario({}, UNPACK | PRUNE, archives(OLD), directories(NEW)),
    "directories, then archives": Scenario(
        UNPACK, {}, directories(OLD), directories({"gone": OLD["gone"]}) | archives(NEW)
    ),
    "a version": Scenario(
        {"WARCOPIER_VERSION": "1"},
        {"WARCOPIER_VERSION": "2"},
        archives(OLD, "##1"),
        archives(OLD, "##1") | archives(NEW, "##2"),
    ),
}


def fresh(folder: Path, scenario: Scenario) -> Copier:
    """Return a copier whose target has the artifacts of an earlier run, and whose source has new WARs."""
    copier = Copier(folder / "artifacts", folder / "webapps")
    copier.source.mkdir(parents=True)
    copier.target.mkdir()
    copier.offer(**OLD)
    outcome = copier.run(**scenario.earlier)
    assert outcome.code == 0, outcome.stderr
    assert deployed(copier.target) == scenario.old
    (copier.source / "gone.war").unlink()
    copier.offer(**NEW)
    return copier


def duplicate(template: Copier, folder: Path) -> Copier:
    """Copy the source and the target to another folder, with a manifest for the files there."""
    shutil.copytree(template.source.parent, folder, symlinks=True)
    copier = Copier(folder / template.source.name, folder / template.target.name)
    path = copier.target / MANIFEST
    with path.open("rb") as file:
        known = manifest.parse(file)
    copied = {name: replace(entry, file=fingerprint((copier.target / name).stat())) for name, entry in known.items()}
    path.write_bytes(b"".join(manifest.render(copied)))
    return copier


def steps(copier: Copier, **settings: str) -> list[str]:
    outcome = copier.run("TRACE", "0", module=INTERRUPTED, **settings)
    assert outcome.code == 0, outcome.stderr
    return [line.split()[0] for line in outcome.stderr.splitlines() if not line.startswith("{")]


def taken(order: list[str]) -> list[int]:
    """Return the numbers of the steps at which a run is interrupted: all from the first rename on, and one behind all.

    Before it nothing changes that Tomcat sees, and most steps are alike: of those each STAGING-th is taken.
    """
    renamed = order.index("rename") + 1
    return [*range(1, renamed, STAGING), *range(renamed, len(order) + 2)]


def at_every_step(mode: str, folder: Path, scenario: Scenario) -> list[tuple[int, Copier, Outcome]]:
    """Interrupt one run at each step that is taken of a whole run, and let one run to its end."""
    template = fresh(folder / "template", scenario)
    order = steps(duplicate(template, folder / "trace"), **scenario.settings)
    assert len(order) > 20

    def run(step: int) -> tuple[int, Copier, Outcome]:
        copier = duplicate(template, folder / f"step{step}")
        return step, copier, copier.run(mode, str(step), module=INTERRUPTED, **scenario.settings)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, taken(order)))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_killed_at_any_step_it_leaves_every_artifact_old_or_new_and_the_next_run_cleans_up(
    tmp_path: Path, scenario: Scenario
) -> None:
    outcomes = at_every_step("KILL", tmp_path, scenario)
    assert [outcome.code for _, _, outcome in outcomes] == [-9] * (len(outcomes) - 1) + [0]
    some_left = some_old = False
    for step, copier, _ in outcomes:
        seen = deployed(copier.target)
        for name in scenario.old.keys() | scenario.new.keys() | seen.keys():
            assert seen.get(name) in (scenario.old.get(name), scenario.new.get(name)), (step, name)
        some_left = some_left or bool(leftovers(copier.target))
        some_old = some_old or seen == scenario.old
        again = copier.run(**scenario.settings)
        assert again.code == 0, again.stderr
        assert deployed(copier.target) == scenario.new, step
        assert copier.names() == sorted([MANIFEST, *scenario.new]), step
    assert some_left
    assert some_old


MANY = {f"WEB-INF/{number % 5}/{number}": noise(3000, number) for number in range(150)}


@pytest.mark.parametrize("step", range(7, 200, 16))
def test_killed_while_two_processes_unpack_it_leaves_the_old_directory_and_the_next_run_cleans_up(
    copier: Copier, step: int
) -> None:
    copier.offer(shop=OLD["shop"])
    assert copier.run(**UNPACK).code == 0
    copier.offer(shop=packed(MANY))
    assert copier.run("KILL", str(step), "shared", module=INTERRUPTED, **UNPACK).code == -9
    assert deployed(copier.target) == directories({"shop": OLD["shop"]})
    assert leftovers(copier.target) != []
    assert copier.run(**UNPACK).code == 0
    assert deployed(copier.target) == {"shop": tree_digest(MANY)}
    assert leftovers(copier.target) == []


@pytest.mark.parametrize("scenario", list(SCENARIOS.values())[:2], ids=list(SCENARIOS)[:2])
def test_told_to_stop_at_any_step_it_leaves_all_old_or_all_new_and_nothing_of_its_own(
    tmp_path: Path, scenario: Scenario
) -> None:
    outcomes = at_every_step("TERM", tmp_path, scenario)
    states = []
    for step, copier, outcome in outcomes:
        seen = deployed(copier.target)
        assert seen in (scenario.old, scenario.new), step
        assert leftovers(copier.target) == [], (step, outcome.stderr)
        assert outcome.code in (0, 74), outcome.stderr
        if outcome.code == 74:
            assert outcome.last == "stopped by SIGTERM before the work was done"
        assert (outcome.code == 0) == (seen == scenario.new), "what it says of itself is true"
        states.append(seen == scenario.new)
    assert states == sorted(states), "once all is published it stays so"
    assert outcomes[0][2].code == 74
    assert outcomes[-1][2].code == 0


def test_an_error_between_two_renames_is_told_with_the_names_that_are_published_already(copier: Copier) -> None:
    copier.offer(**NEW)
    failing = (
        "import itertools, os; rename, calls = os.rename, itertools.count(1)\n"
        "os.rename = lambda *args, **kwargs: rename(*args, **kwargs) if next(calls) == 1 else os.close(-1)"
    )
    failed = copier.run_altered(failing)
    assert failed.code == 74
    said = "cannot be written: Bad file descriptor; published before that: ROOT.war; run again for the rest"
    assert said in failed.last
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
    assert order[first : first + 4] == ["rename", "rename", "rename", "fsync"], "all at once, then the directory"


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
                pass  # the file was renamed after it was listed, so Tomcat does not deploy it
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


def test_there_is_no_instant_without_the_directory_while_it_is_replaced_again_and_again(copier: Copier) -> None:
    versions = [war(f"v{number}", size=1_000_000, seed=number) for number in range(2)]
    copier.offer(shop=versions[0])
    assert copier.run(**UNPACK).code == 0
    stop, misses, looks = threading.Event(), [0], [0]

    def watch() -> None:
        page = copier.target / "shop" / "index.html"
        while not stop.is_set():
            looks[0] += 1
            try:
                assert page.read_text() in ("v0", "v1")
            except FileNotFoundError:
                misses[0] += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for version in [*versions[::-1], *versions[::-1]]:
            copier.offer(shop=version)
            assert copier.run(**UNPACK).code == 0
    finally:
        stop.set()
        watcher.join()
    assert looks[0] > 100
    assert misses[0] == 0


def test_a_run_that_lives_is_not_swept_away_by_another(copier: Copier, tmp_path: Path) -> None:
    copier.offer(**NEW)
    pipe = tmp_path / "hold"
    os.mkfifo(pipe)
    holding = (
        "import sys; from sidecars.chassis import commandline; from sidecars.warcopier import app;"
        "from sidecars.warcopier.settings import Settings; commit = app.commit;"
        f"app.commit = lambda *args: (open({str(pipe)!r}).read(), commit(*args))[1];"
        "sys.exit(commandline.job(Settings, app.run))"
    )
    environ = copier.environ({"WARCOPIER_CONFINEMENT": "off"})  # the pipe lies outside its roots
    first = subprocess.Popen([sys.executable, "-c", holding], env=environ, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(leftovers(copier.target)) == 4, "a lock and three staged files")
        # Opening for writing waits until the first run reads: then its lock is held and everything is staged.
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
