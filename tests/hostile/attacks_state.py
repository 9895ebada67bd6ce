"""Attacks on what the logshipper writes: its state, the files of its sink, its dead letters.

Our manifests keep the state on a mount of its own, where nobody else writes. Here the app may write there, too.
"""

from __future__ import annotations

from tests.hostile.attack import REFUSES, Attack, Life, Step
from tests.hostile.attacks_logs import SHIPS

FORGED = '{{"version":1,"journal":1,"checksum":"x"}}\n{{"files":[{{"path":"{out}/secret.log"}}]}}\n'


def alone(
    name: str, sentence: str, *steps: Step, outside: tuple[str, ...] = ("secret.log",), works: bool = False
) -> Life:
    """Return a life with one attack, in which the sidecar may refuse with a sentence."""
    attack = Attack(name, sentence, before=steps, outside=outside)
    return Life(name, "logshipper", (attack,), SHIPS, ends=REFUSES, works=works)


STATE = tuple(
    alone(f"{name} is {what}", sentence.format(name), *steps)
    for name in ("positions.json", "positions.json.new", "journal-1", "lock")
    for what, sentence, steps in (
        (
            "a link",
            "`{}` of the state is a link to a file outside, which the sidecar's user may write.",
            (("link", "{state}/" + name, "{out}/secret.log"),),
        ),
        ("a FIFO", "`{}` of the state is a FIFO.", (("fifo", "{state}/" + name),)),
    )
)

LIVES = (
    *STATE,
    alone(
        "snapshot is forged",
        "The snapshot names a file outside and says that it is to be deleted.",
        ("file", "{state}/positions.json", FORGED),
    ),
    alone("snapshot is a directory", "A directory has the snapshot's name.", ("directory", "{state}/positions.json")),
    alone("journal has 4 TiB", "The journal is a sparse file of 4 TiB.", ("sparse", "{state}/journal-1", 4 << 40)),
    alone("lock is held", "The app holds the lock of the state for ever.", ("flock", "{state}/lock")),
    alone(
        "state's directory is a link",
        "The directory that the logshipper would make in the state is a link to outside.",
        ("link", "{state}/logshipper", "{out}"),
        outside=("positions.json", "journal-1", "lock"),
    ),
    alone(
        "sink's file is a link",
        "The file that the sink would write is a link to a file outside.",
        ("link", "{sink}/logs.ndjson", "{out}/secret.log"),
    ),
    alone("sink's file is a FIFO", "The file that the sink would write is a FIFO.", ("fifo", "{sink}/logs.ndjson")),
    alone(
        "sink's file is a dangling link",
        "The file that the sink would write is a link to a file outside that does not exist.",
        ("link", "{sink}/logs.ndjson", "{out}/new.ndjson"),
    ),
)
