"""The chaos program: kill -9, rotations and faults of sinks over the real program, judged by the lines that arrive.

    python -m tests.logshipper.chaos [--rounds N] [--seed N] [--profiles sinks,relp,…]

The app (`chaos_app`) writes numbered lines and stack traces, and rotates its file in every way. A round:

1. a sink's behaviour changes;
2. lines are written;
3. the file is rotated in one of the ways;
4. the shipper is killed at any moment; sometimes it gets SIGTERM.

Up to 50 rounds use the same files. The profiles:

- `sinks`: three sinks fail independently: an HTTP receiver with several batches in flight, an Elasticsearch that
  rejects single documents or wants them again, and files.
- `relp`: a real rsyslog over RELP stops, hangs and is killed, too (`chaos_relp`).
- `compressed`: the sinks of the first, and rotated files are compressed while the shipper is away (`chaos_compressed`).
- `rotations`: hundreds of files are renamed up to ten times a second, also during starts and scans (`chaos_rotations`).
- `collectors`: a Splunk that acknowledges late or never, a Graylog, a Fluentd, and a real NATS (`chaos_collectors`).
- `node`: the files of a node's Pods, with the steps of the kubelet (`chaos_node`).
- `http`, `tls`: Loki and OTLP; all sinks over HTTP, RELP and Forward, with TLS (`chaos_receivers`).
- `streams`: syslog and GELF over TCP and TLS, which acknowledge nothing, and standard output (`chaos_receivers`).

At the end:

- the HTTP receiver, rsyslog and the collectors have every line, exactly once after repeats are dropped by their ids;
- Elasticsearch has every line exactly once, except the rejected ones, which are in the dead letters with their reasons;
- the files have every line exactly once, without dropping repeats;
- in every ledger nothing is pending, and nothing was dropped except the rejected lines.

The program prints one line for each profile. It exits with 1 if a line was lost or repeated.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.logshipper.chaos_collectors import CollectorChaos
from tests.logshipper.chaos_compressed import CompressedChaos
from tests.logshipper.chaos_node import NodeChaos
from tests.logshipper.chaos_receivers import HttpChaos, StreamChaos, TlsChaos
from tests.logshipper.chaos_relp import RelpChaos
from tests.logshipper.chaos_rotations import RotationChaos
from tests.logshipper.chaos_runs import Chaos

PROFILES: dict[str, type[Chaos]] = {
    "sinks": Chaos,
    "relp": RelpChaos,
    "compressed": CompressedChaos,
    "rotations": RotationChaos,
    "collectors": CollectorChaos,
    "node": NodeChaos,
    "http": HttpChaos,
    "tls": TlsChaos,
    "streams": StreamChaos,
}


def run(profile: str, options: argparse.Namespace) -> bool:
    """Run the rounds of a profile. Return True if no line was lost or repeated."""
    rounds, seed = 0, options.seed
    totals: Counter[str] = Counter()
    while rounds < options.rounds:
        with tempfile.TemporaryDirectory() as folder:
            chaos = PROFILES[profile](Path(folder), seed)
            chaos.is_killed_at_work = True
            count = min(options.episode, options.rounds - rounds)
            try:
                chaos.run(count)
            except AssertionError as error:
                print(f"{profile}, seed {seed}: {error}")  # noqa: T201 - a program's output
                return False
            finally:
                chaos.close()
            totals["repeats"] += chaos.repeats()
            totals["letters"] += len(chaos.letters())
        rounds, seed = rounds + count, seed + 1
        totals.update(rotations=chaos.app.rotations, kills=chaos.kills, lines=len(chaos.app.written))
        totals["compressed"] += chaos.app.compressed
    print(  # noqa: T201 - a program's output
        f"{profile}, seeds {options.seed} to {seed - 1}: {rounds} rounds, {totals['kills']} times kill -9, "
        f"{totals['rotations']} rotations ({totals['compressed']} compressed): {totals['lines']} lines to each of "
        f"{', '.join(PROFILES[profile].names)}, none lost, none twice once told apart by id "
        f"({totals['repeats']} records were repeats), {totals['letters']} refused and kept",
        flush=True,
    )
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="of each profile")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--episode", type=int, default=50, help="rounds on one set of files")
    parser.add_argument("--profiles", default=",".join(PROFILES))
    options = parser.parse_args()
    if (
        "relp" in options.profiles.split(",")
        and shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin") is None
    ):
        parser.error("the profile relp needs rsyslogd (Debian: rsyslog, rsyslog-relp); --profiles leaves it out")
    return 0 if all(run(profile, options) for profile in options.profiles.split(",")) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
