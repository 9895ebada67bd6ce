"""The tests of paths on a shared volume, on a Unix without the calls that only Linux has."""

import os
import subprocess
import sys

from tests.support import ROOT

PATHS = ("tests/logshipper/volumes", "tests/chassis/isolation/test_beneath.py")


def test_paths_on_a_volume_are_looked_up_without_the_calls_that_only_linux_has() -> None:
    program = [
        sys.executable,
        str(ROOT / "tests/demo/without_linux.py"),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    selected = ["-m", "not processes", "-k", "not openat2"]
    done = subprocess.run(
        [*program, *selected, *PATHS], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
