"""Attacks on the volume of logs, which the app writes and the logshipper reads."""

from __future__ import annotations

from tests.hostile.attack import EVERYTHING, Attack, Life

CROWD = 100_000 if EVERYTHING else 30_000  # names; a scan takes fewer

SHIPS = {
    "LOGSHIPPER_PATHS": "{vol}/**/*.log,{vol}/*.log.[0-9]",
    "LOGSHIPPER_SINK": "file://{sink}",
    "LOGSHIPPER_STATE_DIR": "{state}",
    "LOGSHIPPER_ON_REJECT": "{dead}",
    "LOGSHIPPER_RETRY_LIMIT": "1000",
    "LOGSHIPPER_SCAN_INTERVAL": "200ms",
    "LOGSHIPPER_ROTATE_WAIT": "200ms",
    "LOGSHIPPER_BATCH_TIMEOUT": "50ms",
    "LOGSHIPPER_LOG_LEVEL": "debug",
}

LINKS = Life(
    "links beside the logs",
    "logshipper",
    (
        Attack(
            "link to a secret",
            "A log's name is a link to a file that only the sidecar's user may read.",
            before=(("link", "{vol}/token.log", "{out}/secret.log"),),
        ),
        Attack(
            "late link to a secret",
            "The link appears once the logshipper is at work.",
            during=(("link", "{vol}/late.log", "{out}/secret.log"),),
        ),
        Attack(
            "link to a mounted Secret",
            "A log's name is a link to a file on a volume of its own.",
            before=(("link", "{vol}/mounted.log", "{away}/link-to-a-mounted-Secret"),),
        ),
        Attack(
            "link to a TLS key",
            "A rotated log's name is a link to a private key.",
            before=(("link", "{vol}/app-1.log.7", "{out}/tls.key"),),
            outside=("tls.key",),
        ),
        Attack(
            "relative link",
            "A link leads out of the volume by `..`.",
            before=(("link", "{vol}/relative.log", "../outside/relative-link/secret.log"),),
        ),
        Attack(
            "link to a directory",
            "A directory of logs is a link to a directory outside.",
            before=(("link", "{vol}/elsewhere", "{out}"),),
            outside=("a.log", "b/c.log"),
        ),
        Attack(
            "links in a chain",
            "A link leads to a link, which leads to a secret.",
            before=(("link", "{vol}/first.log", "second"), ("link", "{vol}/second", "{out}/secret.log")),
        ),
        Attack(
            "dangling link",
            "A link leads to a file outside that does not exist; it must not come into being.",
            before=(("link", "{vol}/dangling.log", "{out}/not-there.log"),),
        ),
        Attack("self link", "A link leads to itself.", before=(("link", "{vol}/self.log", "self.log"),)),
        Attack(
            "two links to the directory itself",
            "Two links `x` and `y` lead to the volume itself: followed, they make 2^40 paths.",
            before=(("link", "{vol}/x", "."), ("link", "{vol}/y", ".")),
        ),
        Attack(
            "link to our state",
            "A link leads to the sidecar's own state: shipped, it would grow with each line of itself.",
            before=(("link", "{vol}/state.log", "{state}"),),
            during=(("link", "{vol}/positions.log", "{state}/positions.json"),),
        ),
        Attack(
            "link to our sink",
            "A directory is a link to the sink's own files: each line that is written would be read again.",
            before=(("link", "{vol}/loop", "{sink}"),),
        ),
        Attack(
            "link to our dead letters",
            "A directory is a link to the dead letters.",
            before=(("link", "{vol}/dead", "{dead}"),),
        ),
        Attack(
            "link to the environment",
            "A log's name is a link to `/proc/self/environ`, which has the settings and their secrets.",
            before=(("link", "{vol}/environ.log", "/proc/self/environ"),),
        ),
        Attack(
            "link to the memory",
            "A log's name is a link to `/proc/self/mem`.",
            before=(("link", "{vol}/memory.log", "/proc/self/mem"),),
        ),
        Attack(
            "link to a descriptor",
            "A log's name is a magic link to a descriptor of the sidecar.",
            before=(("link", "{vol}/descriptor.log", "/proc/self/fd/2"),),
        ),
        Attack(
            "link to the root directory",
            "A directory of logs is a link to `/`.",
            before=(("link", "{vol}/slash", "/"),),
        ),
        Attack(
            "link to an endless file",
            "A log's name is a link to `/dev/zero`.",
            before=(("link", "{vol}/endless.log", "/dev/zero"),),
        ),
        Attack(
            "hard link to a mounted Secret",
            "The kernel makes no hard link to a file on another mount.",
            before=(("hard_link", "{vol}/hard.log", "{away}/hard-link-to-a-mounted-Secret"),),
            errors=frozenset({"EXDEV"}),
        ),
        Attack(
            "hard link to our state",
            "A log is a second name of the sidecar's own state file.",
            during=(("hard_link", "{vol}/hard-state.log", "{state}/positions.json"),),
            same_user_only=True,
            errors=frozenset({"ENOENT"}),
        ),
    ),
    SHIPS,
)

KINDS = Life(
    "names that are no files",
    "logshipper",
    (
        Attack("FIFO", "A log is a FIFO without a writer.", before=(("fifo", "{vol}/fifo.log"),)),
        Attack(
            "FIFO with a writer",
            "A log is a FIFO into which somebody writes.",
            before=(("feed_fifo", "{vol}/fed.log", "canary-of-the-fifo\n"),),
        ),
        Attack("socket", "A log is a socket.", before=(("unix_socket", "{vol}/socket.log"),)),
        Attack("directory", "A directory has the name of a log.", before=(("directory", "{vol}/directory.log"),)),
        Attack(
            "device",
            "A log is a device: `/dev/zero` under another name.",
            before=(("device", "{vol}/device.log", 1, 5),),
            by_root=True,
        ),
        Attack(
            "file that becomes a FIFO",
            "A log that is followed is replaced by a FIFO.",
            before=(("file", "{vol}/changing.log", "first a file\n"),),
            during=(("remove", "{vol}/changing.log"), ("fifo", "{vol}/changing.log")),
        ),
        Attack(
            "file that becomes a link",
            "A log that is followed is replaced by a link to a secret.",
            before=(("file", "{vol}/turncoat.log", "first a file\n"),),
            during=(("remove", "{vol}/turncoat.log"), ("link", "{vol}/turncoat.log", "{out}/secret.log")),
        ),
        Attack(
            "directory that becomes a link",
            "A directory of logs that are followed is exchanged with a link to outside.",
            before=(
                ("directory", "{vol}/turning"),
                ("file", "{vol}/turning/secret.log", "first a file\n"),
                ("link", "{vol}/turned", "{out}"),
            ),
            during=(("swap", "{vol}/turning", "{vol}/turned"),),
        ),
        Attack(
            "lease",
            "The app holds a write lease on a new log: without O_NONBLOCK `open` waits for 45 seconds.",
            before=(("lease", "{vol}/leased.log"),),
            during=(("lease", "{vol}/leased-late.log"),),
        ),
        Attack(
            "locks",
            "The app locks its logs and never gives them back.",
            before=(("flock", "{vol}/locked.log"),),
        ),
        Attack(
            "shrinking file",
            "A log shrinks and grows while it is read.",
            before=(("shrink_storm", "{vol}/shrinking.log"),),
        ),
    ),
    SHIPS,
)

NAMES = Life(
    "names",
    "logshipper",
    (
        Attack(
            "name of 255 bytes",
            "A name is as long as can be.",
            before=(("file", "{vol}/" + "n" * 251 + ".log", "x\n"),),
        ),
        Attack(
            "name that is not UTF-8",
            "A name has bytes that are no text.",
            before=(("file", "{vol}/\udcff\udcfe.log", "x\n"),),
        ),
        Attack(
            "newline in a name",
            "A name has a newline, and after it what looks like a line of our log.",
            before=(("file", '{vol}/a\n{{"level":"error","msg":"forged"}}\n.log', "x\n"),),
        ),
        Attack(
            "terminal escapes in a name",
            "A name has the bytes that clear a terminal.",
            before=(("file", "{vol}/\x1b[2J\x1b]0;forged\x07.log", "x\n"),),
        ),
        Attack(
            "glob characters in names",
            "Names are globs themselves.",
            before=(("file", "{vol}/[a-z].log", "x\n"), ("file", "{vol}/**.log", "x\n"), ("directory", "{vol}/*")),
        ),
        Attack(
            "names that resemble `..`",
            "Names begin with two dots, as a path that leads upwards does.",
            before=(("directory", "{vol}/..."), ("file", "{vol}/.../..log", "x\n"), ("file", "{vol}/..log", "x\n")),
        ),
        Attack(
            "1,000 directories deep",
            "A log lies 1,000 directories deep: no path is as long as that, and no recursion.",
            before=(("deep", "{vol}/deep", 1000, "deep.log"),),
        ),
        Attack(
            "many names",
            "A directory has many more names than a scan may take; the innocent logs lie elsewhere.",
            before=(("many", "{vol}/crowd", CROWD, ".txt"),),
        ),
    ),
    SHIPS,
)

STORMS = Life(
    "storms",
    "logshipper",
    (
        Attack(
            "swap storm of a directory",
            "A directory of logs and a link to outside are exchanged thousands of times a second.",
            before=(
                ("directory", "{vol}/storm"),
                ("file", "{vol}/storm/secret.log", "in the storm\n"),
                ("link", "{vol}/storm-link", "{out}"),
                ("swap_storm", "{vol}/storm", "{vol}/storm-link"),
            ),
        ),
        Attack(
            "swap storm of a file",
            "A log and a link to a secret are exchanged thousands of times a second.",
            before=(
                ("file", "{vol}/stormy.log", "in the storm\n"),
                ("link", "{vol}/stormy-link", "{out}/secret.log"),
                ("swap_storm", "{vol}/stormy.log", "{vol}/stormy-link"),
            ),
        ),
        Attack(
            "storm of kinds",
            "A name is in turn a link to a secret, a FIFO, a directory and a file.",
            before=(("kind_storm", "{vol}/kinds.log", "{out}/secret.log"),),
        ),
        Attack(
            "storm of births",
            "Logs appear and vanish faster than a scan.",
            before=(("directory", "{vol}/births"), ("birth_storm", "{vol}/births")),
        ),
    ),
    SHIPS,
)

DELETES = Life(
    "deletion of what was delivered",
    "logshipper",
    (
        Attack(
            "deletion through a link to a directory",
            "Rotated logs lie in a directory that is a link to outside.",
            before=(("link", "{vol}/old", "{out}"),),
            outside=("app.log", "app.log.1", "app.log.2"),
        ),
        Attack(
            "deletion in a directory that was exchanged",
            "Between delivery and deletion the directory of the rotated logs becomes a link to outside.",
            before=(
                ("directory", "{vol}/rot"),
                ("file", "{vol}/rot/app.log", "young\n"),
                ("file", "{vol}/rot/app.log.1", "old, delivered and to be deleted\n"),
                ("link", "{vol}/rot-link", "{out}"),
                ("swap_storm", "{vol}/rot", "{vol}/rot-link"),
            ),
            outside=("app.log", "app.log.1"),
        ),
        Attack(
            "deletion of a link",
            "A rotated log is a link to a file outside.",
            before=(("file", "{vol}/linked.log", "young\n"), ("link", "{vol}/linked.log.1", "{out}/secret.log")),
        ),
        Attack(
            "storm of rotations",
            "A log is rotated as fast as the planter can, while old ones are deleted.",
            before=(("directory", "{vol}/turn"), ("rotation_storm", "{vol}/turn/app.log")),
        ),
    ),
    {
        **SHIPS,
        "LOGSHIPPER_PATHS": "{vol}/**/*.log,{vol}/**/*.log.[0-9]",
        "LOGSHIPPER_DELETE_DELIVERED": "true",
    },
)

GREEDY = Life(
    "a file without an end",
    "logshipper",
    (
        Attack(
            "sparse file of 4 TiB",
            "A log has 4 TiB of zeros and not one line: the others must get their turn.",
            before=(("sparse", "{vol}/sparse.log", 4 << 40),),
        ),
    ),
    {**SHIPS, "LOGSHIPPER_DRAIN_TIMEOUT": "1s"},
    ends=frozenset({0, 69, 74}),  # 69: a busy machine reads not all of the zeros before the end
)

LIVES = (LINKS, KINDS, NAMES, STORMS, DELETES, GREEDY)
