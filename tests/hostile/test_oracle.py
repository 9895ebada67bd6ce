"""The oracle can fail: programs that follow what the planter has planted are found out, and a careful one is not."""

from __future__ import annotations

import pytest

from tests.hostile.attack import FEW, Attack, Layers
from tests.hostile.neighbourhood import APP, Neighbourhood, is_root

LINK = Attack("link", "A link to a secret.", before=(("link", "{vol}/a.log", "{out}/secret.log"),))
CARELESS = {
    "reads through a link": "open('{vol}/a.log').read()",
    "writes through a link": "open('{vol}/a.log', 'a').write('x')",
    "removes by a plain path": "import os; os.unlink('{vol}/a.log')",
    "renames over two components": (
        "import os; os.mkdir('{vol}/d'); d = os.open('{vol}', os.O_RDONLY | os.O_DIRECTORY);"
        "os.rename('a.log', 'd/a.log', src_dir_fd=d, dst_dir_fd=d)"
    ),
    "sets the time through a link": (
        "import os; d = os.open('{vol}', os.O_RDONLY | os.O_DIRECTORY); os.utime('a.log', dir_fd=d)"
    ),
    "waits for a writer": "import os; open('{vol}/plain.log').read()",
}
CAREFUL = (
    "from sidecars.chassis.isolation.beneath import Root\n"
    "root = Root.open('{vol}')\n"
    "try: root.open_file('a.log')\n"
    "except OSError as error: print(error)\n"
    "root.read_small('plain.log', 99); root.rename('plain.log', 'p'); root.remove('p'); root.remove('a.log')"
)


def escapes(program: str, layers: Layers) -> list[str]:
    with Neighbourhood("logshipper", layers) as here:
        here.prepare(LINK)
        assert here.plant(LINK, LINK.before) == ["ok"]
        here.plant(None, (("file", f"{here.folder}/vol/plain.log", "plain\n", 0o666),))
        assert here.start({}, "-c", program.format_map(here.places())).wait() == 0, here.program and here.program.stderr
        return here.escapes((), ("vol",))


@pytest.mark.parametrize("how", CARELESS)
def test_a_careless_program_is_found_out(how: str) -> None:
    assert escapes(CARELESS[how], FEW[0])


@pytest.mark.parametrize("layers", FEW, ids=str)
def test_a_careful_program_is_not_and_each_way_of_resolving_is_the_one_that_was_asked_for(layers: Layers) -> None:
    assert escapes(CAREFUL, layers) == []


def test_the_planter_has_the_user_and_the_capabilities_of_an_app() -> None:
    """Else nothing is proved: root would pass every permission."""
    with Neighbourhood("logshipper", FEW[0]) as here:
        here.plant(None, (("file", f"{here.folder}/vol/mine", ""), ("link", f"{here.folder}/outside/x", "y")))
        assert here.plant(None, (("link", f"{here.folder}/outside/x", "y"),)) == (
            ["EACCES"] if is_root() else ["EEXIST"]
        )
        assert (here.folder / "vol" / "mine").stat().st_uid == here.uid != APP
