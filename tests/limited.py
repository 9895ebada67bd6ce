"""`python -m tests.limited NAME`: a sidecar with the limit OPEN_FILES of open files."""

from __future__ import annotations

import os
import resource
import runpy
import sys

if __name__ == "__main__":
    name = sys.argv.pop(1)
    most = int(os.environ["OPEN_FILES"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    runpy.run_module(f"sidecars.{name}", run_name="__main__", alter_sys=True)
