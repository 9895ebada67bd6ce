"""In a shared PID namespace: what a process of the sidecar's own user learns from it. Without the sidecar's care, all.

`PR_SET_DUMPABLE` 0 is what refuses; nothing refuses a signal, which is said in SECURITY.md.
"""

from __future__ import annotations

import pytest

from tests.hostile.attack import Attack, Layers
from tests.hostile.neighbourhood import Neighbourhood
from tests.hostile.settings import SIDECARS, serve

REFUSED = frozenset({"EACCES", "EPERM"})
SPIES = (
    Attack("environment", "The app reads the sidecar's environment.", during=(("read", "/proc/{pid}/environ"),)),
    Attack(
        "root directory",
        "The app reads the sidecar's secret files by way of its root directory.",
        during=(("list_names", "/proc/{pid}/root/etc"),),
    ),
    Attack(
        "working directory",
        "The app reads by way of the sidecar's working directory.",
        during=(("list_names", "/proc/{pid}/cwd/etc"),),
    ),
    Attack("descriptors", "The app lists what the sidecar has open.", during=(("list_names", "/proc/{pid}/fd"),)),
    Attack("memory map", "The app reads where the sidecar's memory is.", during=(("read", "/proc/{pid}/maps"),)),
    Attack("memory file", "The app opens the sidecar's memory for writing.", during=(("write_memory", "{pid}"),)),
    Attack("memory copy", "The app copies out of the sidecar's memory.", during=(("read_memory", "{pid}"),)),
    Attack("tracing", "The app attaches to the sidecar as a debugger does.", during=(("attach", "{pid}"),)),
)


@pytest.mark.parametrize("same_user", [True, False], ids=["same-user", "other-user"])
@pytest.mark.parametrize("sidecar", SIDECARS)
def test_a_neighbour_in_one_pid_namespace_learns_nothing_and_changes_nothing(sidecar: str, *, same_user: bool) -> None:
    with Neighbourhood(sidecar, Layers("", landlock=True, same_user=same_user)) as here:
        serve(here, traced=False)
        refusals = {spy.name: here.plant(spy, spy.during) for spy in SPIES}
        assert here.program
        assert here.program.process.poll() is None
        open_to_it = {name: answers for name, answers in refusals.items() if not REFUSED.issuperset(answers)}
        assert open_to_it == {}
        assert here.stop() == 0
