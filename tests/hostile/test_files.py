"""Beside a hostile app: no call of a sidecar leaves its roots, no secret gets out, and the innocent files are done.

Each life of the table is run once in each of the chosen layers; several at a time, since most of a run is waiting.
`make hostile` chooses all layers. The table has the attacks; `python -m tests.hostile NAME` shows one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.hostile.attack import Attack, Layers, Life, chosen
from tests.hostile.neighbourhood import is_root, landlock_version
from tests.hostile.runs import Report, attacks_of, run
from tests.hostile.table import ATTACKS, LIVES, NOT_YET

AT_A_TIME = 4
RUNS = [
    (life, layers) for number, life in enumerate(LIVES) if life.name not in NOT_YET for layers in chosen(life, number)
]
CASES = [(life, layers, attack) for life, layers in RUNS for attack in attacks_of(life, layers)]
Reports = dict[tuple[str, Layers], Future[Report]]


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Iterator[Reports]:
    """Begin the runs that the chosen tests need, in the order of the tests."""
    needed: dict[tuple[str, Layers], Life] = {}
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            life, layers = item.callspec.params.get("life"), item.callspec.params.get("layers")
            if isinstance(life, Life) and isinstance(layers, Layers) and (layers.same_user or is_root()):
                needed.setdefault((life.name, layers), life)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {key: pool.submit(run, life, key[1]) for key, life in needed.items()}


def report(reports: Reports, life: Life, layers: Layers) -> Report:
    if (life.name, layers) not in reports:
        return run(life, layers)  # which says why it cannot
    return reports[life.name, layers].result()


@pytest.mark.parametrize(("life", "layers"), RUNS, ids=[f"{life.name}-{layers}" for life, layers in RUNS])
def test_no_call_leaves_the_roots_and_the_innocent_files_are_done(life: Life, layers: Layers, reports: Reports) -> None:
    came = report(reports, life, layers)
    assert came.escapes == []
    assert came.undone == []
    assert came.code in life.ends, came.stderr
    assert "traceback" not in came.stderr.lower()
    assert not came.leaked[""], "the environment, or what was fed to a FIFO, got out"


@pytest.mark.parametrize(
    ("life", "layers", "attack"), CASES, ids=[f"{attack.name}-{layers}" for _, layers, attack in CASES]
)
def test_nothing_outside_is_touched_or_told(life: Life, layers: Layers, attack: Attack, reports: Reports) -> None:
    came = report(reports, life, layers)
    steps = (*attack.before, *attack.during) if life.works or not attack.during else attack.before
    assert len(came.answers[attack.name]) == len(steps)
    assert set(came.answers[attack.name]) <= {"ok"} | attack.errors, "the planter has done what it was to do"
    assert came.changed[attack.name] == []
    assert not came.leaked[attack.name]


@pytest.mark.parametrize(("life", "layers"), RUNS, ids=[f"{life.name}-{layers}" for life, layers in RUNS])
def test_the_layers_are_those_that_the_run_was_to_have(life: Life, layers: Layers, reports: Reports) -> None:
    """Else a suite that passes would prove one layer only. Without Landlock in the kernel, none can be in force."""
    came = report(reports, life, layers)
    if came.code == 0:  # one that refuses may do so before it looks
        assert came.in_force["openat2"] is not bool(layers.openat2)
    assert not (came.in_force["openat2"] and layers.openat2)
    assert came.in_force["landlock"] is (layers.landlock and landlock_version() > 0)


def test_each_attack_has_a_name_of_its_own_and_a_sentence() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names)
    assert all(attack.sentence.endswith(".") for attack in ATTACKS)
    assert len(names) >= 60
    assert NOT_YET.keys() <= {life.name for life in LIVES}
