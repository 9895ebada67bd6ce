"""The page costs nothing until somebody looks at it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.processes

SCRIPT = """
import sys

import pytest
from sidecars.adapter import app as _
from sidecars.ambassador import app as _, data_path as _
from sidecars.logshipper import app as _
from sidecars.warcopier import app as _
from sidecars.warcopier.watch import watcher as _
from sidecars.chassis import admin_server, probe
print([name for name in sys.modules if name.startswith("sidecars.chassis.page") or name.endswith(".picture")])
"""


def test_no_sidecar_loads_the_page_or_its_picture_when_it_starts() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"
