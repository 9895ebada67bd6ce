"""Landlock as the only layer: the sidecar follows every link, and still nothing outside its roots is reached.

The protection of `beneath` is taken away in the tests' process (`unprotected`). `make hostile` runs all lives, and
`make test` three of them.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.hostile.attack import EVERYTHING, Layers, Life
from tests.hostile.neighbourhood import landlock_version
from tests.hostile.runs import Report, run
from tests.hostile.table import LIVES

ALONE = Layers("", landlock=True, same_user=True, beneath=False)
NOTHING = Layers("", landlock=False, same_user=True, beneath=False)
IN_CI = ("links beside the logs", "state's directory is a link", "META-INF is a link")
CHOSEN = [life for life in LIVES if EVERYTHING or life.name in IN_CI]
PROOF = [life for life in LIVES if life.name in (IN_CI[0], IN_CI[2])]


def came_of(life: Life, layers: Layers) -> Report:
    """Return what came of a run. That innocent files are done is not promised by one layer."""
    return run(replace(life, works=False), layers)


@pytest.fixture(autouse=True)
def _landlock() -> None:
    if not landlock_version():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this kernel has no Landlock")


@pytest.mark.parametrize("life", CHOSEN, ids=lambda life: life.name)
def test_landlock_alone_lets_nothing_outside_be_reached(life: Life) -> None:
    came = came_of(life, ALONE)
    assert came.in_force == {"openat2": False, "landlock": True}
    assert [attack.name for attack in life.attacks if came.leaked[attack.name] or came.changed[attack.name]] == []
    # Landlock does not restrict a descriptor that only names a directory: what is opened by it is judged by its place.
    assert [call for call in came.escapes if "O_PATH" not in call] == []


@pytest.mark.parametrize("life", PROOF, ids=lambda life: life.name)
def test_without_any_layer_the_same_attacks_reach_what_is_outside(life: Life) -> None:
    """Else the test above would prove nothing."""
    came = came_of(life, NOTHING)
    assert came.in_force == {"openat2": False, "landlock": False}
    assert came.escapes != []
