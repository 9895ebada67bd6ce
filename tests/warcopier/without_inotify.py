"""The copier without an inotify instance, or watch: `python -m tests.warcopier.without_inotify WHAT`.

`WHAT` is `instances` or `watches`. A user namespace of its own has a limit of its own; here that limit is 0.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000


def main() -> None:
    what = sys.argv.pop()
    user, group = os.geteuid(), os.getegid()
    assert ctypes.CDLL(None).unshare(_CLONE_NEWUSER) == 0, "no user namespace: the test cannot be run here"
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    Path(f"/proc/sys/user/max_inotify_{what}").write_text("0")
    runpy.run_module("sidecars.warcopier", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
