"""Attacks on the volume into which the copier publishes: the app may write there, too."""

from __future__ import annotations

import json

from tests.hostile.attack import FINE, REFUSES, Attack, Life, Step
from tests.hostile.wars import EVIL, digest, war

COPIES = {
    "WARCOPIER_SOURCE": "{source}",
    "WARCOPIER_TARGET": "{target}",
    "WARCOPIER_RESERVE": "0",
}
UNPACK = {"WARCOPIER_UNPACK": "true"}
PRUNE = {"WARCOPIER_PRUNE": "true"}
TOKEN = "0123456789abcdef"  # of a run that never was
ANY = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1}


def record(*names: str) -> str:
    """Return a record of these names, with the braces doubled as a step needs it."""
    entry = json.dumps({"sha256": "0" * 64, "check": "war", "file": ANY})
    lines = ",\n".join(f"{json.dumps(name)}:{entry}" for name in names)
    text = f'{{"version":1,"artifacts":{{\n{lines}\n}}}}\n'  # one line an artifact, as the copier writes it
    return text.replace("{", "{{").replace("}", "}}").replace("[[", "{").replace("]]", "}")


def alone(
    name: str,
    sentence: str,
    *steps: Step,
    environ: dict[str, str] | None = None,
    outside: tuple[str, ...] = ("secret.log",),
    refuses: bool = False,
    same_user_only: bool = False,
    pages: int = 3,
) -> Life:
    """Return a life with one attack. Unless it `refuses`, the copier must publish all that the source has."""
    attack = Attack(name, sentence, before=steps, outside=outside, same_user_only=same_user_only)
    ends = REFUSES if refuses else FINE
    return Life(name, "warcopier", (attack,), {**COPIES, **(environ or {})}, ends=ends, works=not refuses, pages=pages)


FORGERIES = (
    alone(
        "record names files outside",
        "A planted record says that earlier runs have published `../outside/…`, and PRUNE is on.",
        ("file", "{target}/.warcopier.json", record("../outside/record-names-files-outside/secret.log")),
        environ=PRUNE,
    ),
    alone(
        "record names an absolute path",
        "A planted record says that an earlier run has published a file by its absolute path.",
        ("file", "{target}/.warcopier.json", record("[[out]]/secret.log")),
        environ=PRUNE,
    ),
    alone(
        "record names links",
        "A planted record names links to a file and to a directory outside: PRUNE must not go through them.",
        ("link", "{target}/old.war", "{out}/secret.log"),
        ("link", "{target}/old", "{out}"),
        ("file", "{target}/.warcopier.json", record("old.war", "old")),
        environ=PRUNE,
    ),
    alone(
        "record names a directory with links",
        "A planted record names a directory, deep in which links lead outside.",
        ("directory", "{target}/old/a/b"),
        ("link", "{target}/old/a/b/c", "{out}"),
        ("link", "{target}/old/a/d.war", "{out}/secret.log"),
        ("file", "{target}/.warcopier.json", record("old")),
        environ={**PRUNE, **UNPACK},
    ),
    alone(
        "forged digest",
        "An evil WAR of equal size is there, and a planted record says that it has the digest of the good one.",
        ("bytes_of", "{target}/shop.war", war(text=EVIL).hex()),
        ("forge_record", "{target}", "shop.war", digest(war())),
        environ={"WARCOPIER_REQUIRE_SHA256": "true"},
    ),
    alone(
        "record is a link",
        "The record is a link to a file outside.",
        ("link", "{target}/.warcopier.json", "{out}/secret.log"),
    ),
    alone("record is a FIFO", "The record is a FIFO.", ("fifo", "{target}/.warcopier.json")),
    alone(
        "record is a directory", "The record is a directory.", ("directory", "{target}/.warcopier.json"), refuses=True
    ),
    alone("record has 4 TiB", "The record is a sparse file of 4 TiB.", ("sparse", "{target}/.warcopier.json", 4 << 40)),
    alone("record under a lease", "The app holds a write lease on the record.", ("lease", "{target}/.warcopier.json")),
    alone("record is locked", "The app holds every lock on the record.", ("flock", "{target}/.warcopier.json")),
)

OBSTACLES = Life(
    "names of WARs",
    "warcopier",
    (
        Attack(
            "WAR is a link",
            "The name of a WAR is a link to a file outside, which the copier may write.",
            before=(("link", "{target}/link.war", "{out}/secret.log"),),
        ),
        Attack(
            "WAR is a dangling link",
            "The name of a WAR is a link to a file outside that does not exist.",
            before=(("link", "{target}/dangling.war", "{out}/new.war"),),
        ),
        Attack(
            "WAR is a hard link",
            "The name of a WAR is a second name of a file of the copier's own user outside.",
            before=(("hard_link", "{target}/hard.war", "{out}/secret.log"),),
            same_user_only=True,
        ),
        Attack("WAR is a FIFO", "The name of a WAR is a FIFO.", before=(("fifo", "{target}/fifo.war"),)),
        Attack("WAR is a socket", "The name of a WAR is a socket.", before=(("unix_socket", "{target}/socket.war"),)),
        Attack(
            "WAR has 4 TiB",
            "A WAR of 4 TiB of zeros has the name of ours.",
            before=(("sparse", "{target}/sparse.war", 4 << 40),),
        ),
        Attack(
            "WAR under a lease",
            "The app holds a write lease on the WAR that is there.",
            before=(("lease", "{target}/lease.war"),),
        ),
        Attack(
            "names in the target that are not UTF-8",
            "The volume has names that are no text, of 255 bytes, and with newlines.",
            before=(
                ("file", "{target}/\udcff.war", "x"),
                ("file", "{target}/" + "n" * 251 + ".war", "x"),
                ("file", "{target}/a\nb.war", "x"),
            ),
        ),
        Attack(
            "many names in the target",
            "The volume has 5,000 names.",
            before=(("many", "{target}/", 5_000, ".txt"),),
        ),
        Attack(
            "locks of runs that never were",
            "The app holds the lock of a run that never was; a FIFO and a link have the names of others.",
            before=(
                ("flock", "{target}/.warcopier-" + TOKEN + ".lock"),
                ("fifo", "{target}/.warcopier-" + TOKEN[::-1] + ".lock"),
                ("link", "{target}/.warcopier-" + "0" * 16 + ".lock", "{out}/secret.log"),
            ),
        ),
    ),
    {**COPIES, **PRUNE},
    wars=("shop", "other", "link", "dangling", "hard", "fifo", "socket", "sparse", "lease"),
)

LEFTOVERS = Life(
    "leftovers",
    "warcopier",
    (
        Attack(
            "leftovers with links",
            "What looks like the staging directory of a killed run has links to outside in it: it is cleared away.",
            before=(
                ("file", "{target}/.warcopier-" + TOKEN + ".lock", ""),
                ("directory", "{target}/META-INF/.warcopier-" + TOKEN + "-1.staging/a"),
                ("link", "{target}/META-INF/.warcopier-" + TOKEN + "-1.staging/a/b", "{out}"),
                ("link", "{target}/META-INF/.warcopier-" + TOKEN + "-2.staging", "{out}"),
                ("link", "{target}/.warcopier-" + TOKEN + "-3.staging", "{out}/secret.log"),
            ),
        ),
        Attack(
            "leftovers 1,000 directories deep",
            "What looks like the staging directory of a killed run is 1,000 directories deep.",
            before=(("deep", "{target}/META-INF/.warcopier-" + TOKEN[::-1] + "-1.staging", 1000, "x"),),
        ),
    ),
    {**COPIES, **UNPACK},
)

OBSTACLES_WHILE_UNPACKING = (
    alone(
        "WAR is a directory", "The name of a WAR is a directory.", ("directory", "{target}/shop.war/x"), refuses=True
    ),
    alone(
        "unpacked WAR is a link",
        "The directory of the application is a link to a directory outside.",
        ("link", "{target}/shop", "{out}"),
        environ=UNPACK,
        outside=("WEB-INF/web.xml", "pages-0/secret-0.log"),
        refuses=True,
    ),
    alone(
        "META-INF is a link",
        "`META-INF`, below which directories are staged, is a link to outside.",
        ("link", "{target}/META-INF", "{out}"),
        environ=UNPACK,
        refuses=True,
    ),
    alone("META-INF is a FIFO", "`META-INF` is a FIFO.", ("fifo", "{target}/META-INF"), environ=UNPACK, refuses=True),
    alone(
        "tracker is a link",
        "The application's directory is there, and its `META-INF/war-tracker` is a link to outside.",
        ("directory", "{target}/shop/META-INF"),
        ("link", "{target}/shop/META-INF/war-tracker", "{out}/secret.log"),
        environ=UNPACK,
        refuses=True,
    ),
)

STORMS = (
    alone(
        "swap storm while unpacking",
        "Each directory that the copier makes is exchanged with a link to outside, and back, while it unpacks.",
        ("hunt", "{target}", "{out}"),
        environ=UNPACK,
        refuses=True,
        pages=600,
    ),
    alone(
        "swap storm of META-INF",
        "`META-INF` and a link to outside are exchanged thousands of times a second, while the copier unpacks.",
        ("directory", "{target}/META-INF"),
        ("link", "{target}/trap", "{out}"),
        ("swap_storm", "{target}/META-INF", "{target}/trap"),
        environ=UNPACK,
        refuses=True,
        pages=200,
    ),
    alone(
        "storm of kinds at a WAR",
        "The name of a WAR is in turn a link to outside, a FIFO, a directory and a file.",
        ("kind_storm", "{target}/shop.war", "{out}/secret.log"),
        refuses=True,
    ),
    alone(
        "swap storm while pruning",
        "A directory that is to be removed, and a link to outside, are exchanged all the time.",
        ("directory", "{target}/old/secret"),
        ("many", "{target}/old", 300, ".log"),
        ("link", "{target}/trap", "{out}"),
        ("file", "{target}/.warcopier.json", record("old")),
        ("swap_storm", "{target}/old", "{target}/trap"),
        environ={**PRUNE, **UNPACK},
        outside=("000000.log", "000299.log", "secret/x"),
        refuses=True,
    ),
)

LIVES = (*FORGERIES, OBSTACLES, LEFTOVERS, *OBSTACLES_WHILE_UNPACKING, *STORMS)
