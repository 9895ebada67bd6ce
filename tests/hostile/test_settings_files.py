"""A file that a setting names, and that is read again, becomes something else while the sidecar runs.

Such a file belongs on a mount of its own. Where it does not, the sidecar keeps the value that it has, says so, never
waits, and never shows what it has read.
"""

from __future__ import annotations

import json

import pytest

from tests.hostile.attack import Attack, Layers
from tests.hostile.neighbourhood import SECRET, Neighbourhood, secret
from tests.hostile.settings import Service, get, serve
from tests.support import wait_until

FILES = {  # the setting that is read again while it runs, and its first value
    "adapter": ("ADAPTER_RULES_FILE", "up: up == 1\n"),
    "ambassador": ("AMBASSADOR_TOKEN_FILE", "a-token-that-is-good\n"),
}
ATTACKS = (
    Attack("settings file becomes a FIFO", "A FIFO takes its place.", during=(("fifo", "{vol}/new"),)),
    Attack("settings file becomes endless", "A link to `/dev/zero`.", during=(("link", "{vol}/new", "/dev/zero"),)),
    Attack("settings file becomes huge", "A file of 4 TiB.", during=(("sparse", "{vol}/new", 4 << 40),)),
    Attack(
        "settings file becomes a link to a secret",
        "A link to a secret, which is no valid value: its text must not be in the reason.",
        during=(("link", "{vol}/new", "{out}/secret.log"),),
    ),
)


def start(here: Neighbourhood) -> Service:
    name, value = FILES[here.sidecar]
    here.plant(None, (("file", f"{here.folder}/vol/value", value),))
    more = {name: f"{here.folder}/vol/value", "ADAPTER_MODE": "verdict"}
    return serve(
        here, traced=False, **{key: text for key, text in more.items() if key.startswith(here.sidecar.upper())}
    )


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("sidecar", FILES)
def test_a_settings_file_that_becomes_something_else_stops_nothing_and_tells_nothing(
    sidecar: str, attack: Attack
) -> None:
    with Neighbourhood(sidecar, Layers("", landlock=True, same_user=True)) as here:
        here.prepare(attack)
        service = start(here)
        logged = len(service.program.logs)
        assert here.plant(attack, attack.during) == ["ok"]
        assert here.plant(None, (("swap", f"{here.folder}/vol/new", f"{here.folder}/vol/value"),)) == ["ok"]
        setting = FILES[sidecar][0].removesuffix("_FILE")

        def noticed() -> bool:
            """True if the sidecar has said so: it looks when it is asked, and each second."""
            assert get(service.port, "/health")[0] in (502, 503)  # its app does not answer here
            return any(setting in json.dumps(line) for line in service.program.logs[logged:])

        wait_until(noticed, f"a word about it; so far:\n{service.program.stderr[-2000:]}", patience=60)
        assert get(service.admin, "/livez")[0] == 200
        assert here.changed(attack) == []
        assert here.stop() == 0
        assert secret(attack) not in here.outputs()
        assert SECRET not in here.outputs()
