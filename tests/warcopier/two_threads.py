"""The copier with at most two processes or threads for its user, as with `--pids-limit 2`.

The limit does not apply to root. So the copier runs as a uid without other processes, which are what the limit counts.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys


def main() -> None:
    if os.geteuid() == 0:
        for capability in (21, 24):  # CAP_SYS_ADMIN, CAP_SYS_RESOURCE
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
    resource.setrlimit(resource.RLIMIT_NPROC, (2, 2))
    if os.geteuid() == 0:
        os.setresuid(64_000 + os.getpid() % 1_000, 0, 0)
    os.execv(sys.executable, [sys.executable, "-m", "sidecars.warcopier"])


if __name__ == "__main__":
    main()
