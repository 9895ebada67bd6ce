"""Permissions of logs: apps of several users and umasks on a real volume, and the logshipper that reads them."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.images.support import PATIENCE, docker, inspect, state
from tests.support import ROOT, wait_until
from tools.names import image, official

pytestmark = pytest.mark.engine

PYTHON = official("python")
LINES = 100
APP = (
    "import os, runpy, sys; os.umask(int(sys.argv[1], 8)); "
    f"os.environ['APP_LINES'] = '{LINES}'; runpy.run_path('/app.py', run_name='__main__')"
)


@contextmanager
def fresh_volume() -> Iterator[str]:
    name = f"sidecars-test-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", name)


@pytest.fixture
def volume() -> Iterator[str]:
    with fresh_volume() as name:
        yield name


@pytest.fixture
def audit() -> Iterator[str]:
    with fresh_volume() as name:
        yield name


def as_the_kubelet_does(volume: str, group: int) -> None:
    """Give a volume to a group as `fsGroup` does: the group may write, and new files in it have that group."""
    text = f"import os; os.chown('/logs', 0, {group}); os.chmod('/logs', 0o2775)"
    docker("run", "--rm", "--volume", f"{volume}:/logs", PYTHON, "python3", "-c", text)


def write_logs(volume: str, user: str, umask: str, *options: str) -> None:
    app = ROOT / "examples" / "log-shipping" / "app.py"
    mounts = ("--volume", f"{volume}:/logs", "--volume", f"{app}:/app.py:ro")
    docker("run", "--rm", "--user", user, *options, *mounts, PYTHON, "python3", "-c", APP, umask)


Ship = Callable[..., str]


@pytest.fixture
def ship(volume: str) -> Iterator[Ship]:
    containers: list[str] = []

    def start(*options: str) -> str:
        settings = ("--env", "LOGSHIPPER_PATHS=/logs/*.log", "--env", "LOGSHIPPER_SINK=stdout:")
        mounts = ("--volume", f"{volume}:/logs:ro")
        containers.append(docker("run", "--detach", *settings, *options, *mounts, image("logshipper")).strip())
        return containers[-1]

    yield start
    for container in containers:
        docker("rm", "--force", "--volumes", container)


def shipped(container: str) -> bool:
    return docker("logs", container).count("of an app that does not know who reads it") == LINES


def test_logs_of_another_user_with_umask_0027_are_read_by_the_group_that_fsgroup_gives(volume: str, ship: Ship) -> None:
    as_the_kubelet_does(volume, 65532)
    write_logs(volume, "1000:1000", "0027", "--group-add", "65532")
    container = ship()
    wait_until(lambda: shipped(container), "the lines arrive", PATIENCE)


def test_logs_of_root_with_umask_0027_are_read_by_a_logshipper_that_is_a_member_of_their_group(
    volume: str, ship: Ship
) -> None:
    write_logs(volume, "0:0", "0027")
    container = ship("--group-add", "0")
    wait_until(lambda: shipped(container), "the lines arrive", PATIENCE)
    assert inspect(container)["Config"]["User"] == "65532:65532"


COUNT = "import glob; print(sum(len(open(name).readlines()) for name in glob.glob('/audit/*.ndjson')))"


def test_the_file_sink_of_the_readme_can_write_to_a_fresh_named_volume(volume: str, audit: str, ship: Ship) -> None:
    as_the_kubelet_does(volume, 65532)
    write_logs(volume, "65532:65532", "0022")
    container = ship("--env", "LOGSHIPPER_SINK=file:///audit", "--volume", f"{audit}:/audit")

    def written() -> bool:
        return docker("exec", container, "/usr/bin/python3", "-c", COUNT).strip() == str(LINES)

    wait_until(written, "all lines are in the file", PATIENCE)


@pytest.mark.parametrize("umask", ["0027", "0077"])
def test_logs_that_may_not_be_read_make_the_container_unready_and_its_end_a_failure_that_names_the_cure(
    volume: str, ship: Ship, umask: str
) -> None:
    """An app of uid 1000 in a Pod without fsGroup: no line can be delivered, and the container reports that."""
    write_logs(volume, "0:0", umask)
    container = ship()

    def refusal() -> str:
        """Return the output of the probe if the container is not ready because of the file; "" before that."""
        command = ["docker", "exec", container, "/usr/local/bin/probe", "/readyz"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        printed = ended.stdout + ended.stderr
        return printed if ended.returncode == 1 and "app.log" in printed else ""

    output = wait_until(refusal, "not ready, because of the file", PATIENCE)
    assert "/logs/app.log" in output
    assert ("fsGroup" if umask == "0027" else "umask") in output
    assert not shipped(container)
    docker("stop", container)
    assert state(container)["ExitCode"] == 74
