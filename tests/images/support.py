"""The engine, by its own command line: the tests type what a reader of the READMEs types."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import ROOT, wait_until

NAMES = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__main__.py"))
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
# For a proxy that inspects TLS, as the README describes: the builds get it as a secret.
CA_BUNDLE = os.environ.get("CA_BUNDLE") or os.environ.get("SSL_CERT_FILE", "")
PATIENCE = 120.0  # seconds for a condition: containers also start on busy machines


def run(
    *command: str | Path, expect: int = 0, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository. Show all of its output if its exit code is not the expected one."""
    env = {**os.environ, "CA_BUNDLE": CA_BUNDLE, **(environ or {})}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == expect, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def docker(*arguments: str | Path, environ: Mapping[str, str] | None = None) -> str:
    return run("docker", *arguments, environ=environ).stdout


def inspect(thing: str) -> dict[str, Any]:
    """Return the description of an image or a container."""
    (found,) = json.loads(docker("inspect", thing))
    assert isinstance(found, dict)
    return found


def state(container: str) -> dict[str, Any]:
    found: dict[str, Any] = inspect(container)["State"]
    return found


def wait_healthy(container: str) -> None:
    """Wait for the container's own HEALTHCHECK. If the container has ended, fail with its log."""

    def healthy() -> bool:
        found = state(container)
        assert found["Running"], run("docker", "logs", container).stderr
        return bool(found["Health"]["Status"] == "healthy")

    wait_until(healthy, "healthy", PATIENCE)
