"""One run of a life, in given layers: plant, start, attack, let the sidecar finish, and look at what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.hostile import wars
from tests.hostile.attack import Attack, Layers, Life
from tests.hostile.neighbourhood import SECRET, Neighbourhood, secret, slug
from tests.support import free_port, wait_until

READS = {"logshipper": ("vol",), "warcopier": ("source",)}
WRITES = {"logshipper": ("state", "sink", "dead"), "warcopier": ("target",)}
LINES = 20


@dataclass
class Report:
    """What came of a run. All of it is judged by the tests, one attack at a time."""

    code: int
    stderr: str
    escapes: list[str]
    undone: list[str]  # lines of innocent files that did not arrive, or WARs that were not published
    answers: dict[str, list[str]]  # of the planter's steps, by the attack's name
    changed: dict[str, list[str]]  # canaries that were changed, by the attack's name
    leaked: dict[str, bool]
    in_force: dict[str, bool]  # layers that the trace has seen at work


def _writable(life: Life) -> tuple[str, ...]:
    """Return the roots in which a sidecar may change names: the logs only if it is to delete what it has delivered."""
    deletes = ("vol",) if "LOGSHIPPER_DELETE_DELIVERED" in life.environ else ()
    return (*WRITES[life.sidecar], *deletes)


def attacks_of(life: Life, layers: Layers) -> tuple[Attack, ...]:
    return tuple(attack for attack in life.attacks if layers.same_user or not attack.same_user_only)


def run(life: Life, layers: Layers) -> Report:
    with Neighbourhood(life.sidecar, layers) as here:
        attacks = attacks_of(life, layers)
        answers: dict[str, list[str]] = {attack.name: [] for attack in attacks}
        environ = {name: value.format_map(here.places()) for name, value in life.environ.items()}
        for attack in attacks:
            here.prepare(attack)
        work = _ship if life.sidecar == "logshipper" else _copy
        code, undone = work(here, life, attacks, answers, environ)
        outputs = here.outputs()
        return Report(
            code=code,
            stderr=here.program.stderr if here.program else "",
            escapes=here.escapes(READS[life.sidecar], _writable(life)),
            undone=undone,
            answers=answers,
            changed={attack.name: here.changed(attack) for attack in attacks},
            leaked={attack.name: secret(attack) in outputs for attack in attacks}
            | {"": f"{SECRET}-of-the-" in outputs},
            in_force=_in_force(here),
        )


def _in_force(here: Neighbourhood) -> dict[str, bool]:
    seen = {call.name for call in here.calls()}
    return {"openat2": "openat2" in seen, "landlock": "landlock_restrict_self" in seen}


def _copy(
    here: Neighbourhood, life: Life, attacks: tuple[Attack, ...], answers: dict[str, list[str]], environ: dict[str, str]
) -> tuple[int, list[str]]:
    data = wars.war(life.pages)
    for name in life.wars:
        (here.folder / "source" / f"{name}.war").write_bytes(data)
    (here.folder / "source" / "SHA256SUMS").write_text(
        "".join(f"{wars.digest(data)}  {name}.war\n" for name in life.wars)
    )
    for attack in attacks:
        answers[attack.name] += here.plant(attack, attack.before)
    code = here.start(environ).wait()
    undone = (
        wars.unpublished(here.folder / "target", life, unpacked="WARCOPIER_UNPACK" in environ) if life.works else []
    )
    return code, undone


def _ship(
    here: Neighbourhood, life: Life, attacks: tuple[Attack, ...], answers: dict[str, list[str]], environ: dict[str, str]
) -> tuple[int, list[str]]:
    innocent = [f"{here.folder}/vol/app-1.log", f"{here.folder}/vol/sub/app-2.log"]
    here.plant(None, (("directory", f"{here.folder}/vol/sub"),))
    expected = []

    def write(step: str, when: str) -> None:
        for file in innocent:
            lines = [f"innocent {slug(file)} {when} {number}" for number in range(LINES)]
            here.plant(None, ((step, file, "".join(f"{line}\n" for line in lines)),))
            expected.extend(lines)

    write("file", "before")
    for attack in attacks:
        answers[attack.name] += here.plant(attack, attack.before)
    port = free_port()
    program = here.start({**environ, "LOGSHIPPER_ADMIN_LISTEN": f"127.0.0.1:{port}"})

    def ended() -> bool:
        return program.process.poll() is not None

    def missing() -> list[str]:
        outputs = here.outputs()
        return [line for line in expected if json.dumps(line)[1:-1] not in outputs]

    def arrived() -> bool:
        return ended() or not missing()

    if life.works:
        wait_until(arrived, f"the innocent lines; so far:\n{program.stderr[-4000:]}")
        for attack in attacks:
            answers[attack.name] += here.plant(attack, attack.during)
        write("append", "after")
        wait_until(arrived, f"the later innocent lines; so far:\n{program.stderr[-4000:]}")
    else:
        wait_until(lambda: ended() or program.logged("listening") or _looked(here), "the start")
    undone = missing() if life.works else []
    code = program.process.returncode if ended() else here.stop()
    return code, undone


def _looked(here: Neighbourhood) -> bool:
    """True if the sidecar has reached the innocent files, or whatever it does instead."""
    return "innocent" in here.outputs()
