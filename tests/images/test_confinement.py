"""The images' confinement: with it, without a part of it, and beside a neighbour of the same user that sees their pids.

Seccomp profiles refuse openat2 and Landlock as an old profile (EPERM) and an old kernel (ENOSYS) do.
"""

from __future__ import annotations

import errno
import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.support import CONFINED, NAMES, docker, run, wait_healthy
from tests.support import wait_until
from tools.names import image

pytestmark = pytest.mark.engine

CALLS = {
    "openat2": ["openat2"],
    "landlock": ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"],
}
ADMIN = {"warcopier": 9911, "logshipper": 9912, "ambassador": 9913, "adapter": 9914}
# Each service does its job with its own admin port as the app, or with a file in a volume.
SERVICE = {
    "warcopier": {"WARCOPIER_WATCH": "true"},
    "logshipper": {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "stdout:"},
    "ambassador": {"AMBASSADOR_UPSTREAM": "http://127.0.0.1:9913", "AMBASSADOR_WORKERS": "2"},
    "adapter": {"ADAPTER_TARGET": "http://127.0.0.1:9914"},
}
VOLUMES = {"warcopier": ["/webapps"], "logshipper": ["/state"]}

Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a sidecar with something to do, and return the container. It is removed when the test ends."""
    started: list[str] = []

    def begin(name: str, *arguments: str, **environ: str) -> str:
        source = {"warcopier": "/artifacts", "logshipper": "/logs"}.get(name)
        inputs = tmp_path / name
        inputs.mkdir(exist_ok=True)
        inputs.chmod(0o755)
        if name == "warcopier":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("WEB-INF/web.xml", "<web-app/>")
            (inputs / "shop.war").write_bytes(packed.getvalue())
        elif name == "logshipper":
            (inputs / "app.log").write_text("one line\n")
        options = [f"--env={key}={value}" for key, value in (SERVICE[name] | environ).items()]
        options += [f"--volume={path}" for path in VOLUMES.get(name, [])]
        options += [f"--volume={inputs}:{source}:ro"] if source else []
        started.append(docker("run", "--detach", *CONFINED, *options, *arguments, image(name)).strip())
        return started[-1]

    yield begin
    for container in started:
        docker("rm", "--force", "--volumes", container)


def python(container: str, code: str) -> str:
    return docker("exec", container, "/usr/bin/python3", "-I", "-c", code)


def get(container: str, port: int, path: str) -> str:
    """Return the body of a response to a peer on the container's loopback."""
    code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}{path}', timeout=60).read().decode())"
    return python(container, code)


def does_its_job(name: str, container: str) -> bool:
    match name:
        case "warcopier":
            return "shop.war" in python(container, "import os; print(os.listdir('/webapps'))")
        case "logshipper":
            return "one line" in docker("logs", container)
        case "ambassador":
            return "sidecar_build_info" in get(container, 8500, "/metrics")
    return "sidecar_build_info" in get(container, 8081, "/health")


def profile(folder: Path, layers: list[str], error: int) -> list[str]:
    """Return the options of a container in which the calls of these layers fail with the error."""
    if not layers:
        return []
    refused = {"names": [call for one in layers for call in CALLS[one]], "action": "SCMP_ACT_ERRNO", "errnoRet": error}
    file = folder / "seccomp.json"
    file.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}))
    return ["--security-opt", f"seccomp={file}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("layers", "error"),
    [
        ([], 0),
        (["openat2"], errno.EPERM),
        (["landlock"], errno.EPERM),
        (["openat2", "landlock"], errno.ENOSYS),
    ],
)
def test_a_sidecar_does_its_job_with_and_without_each_layer_and_tells_which_is_absent(
    name: str, layers: list[str], error: int, start: Start, tmp_path: Path
) -> None:
    container = start(name, *profile(tmp_path, layers, error))
    wait_healthy(container)
    wait_until(lambda: does_its_job(name, container), f"the work of {name}")
    found = json.loads(get(container, ADMIN[name], "/status"))["confinement"]
    absent = f"absent: {errno.errorcode.get(error)}"
    assert found["dumpable"] is False
    assert found["openat2"] == (absent if "openat2" in layers else True)
    if "landlock" in layers:
        assert (found["landlock"], found["roots"]) == (absent, 0)
    elif kernel_has_landlock():
        assert found["landlock"] >= 1
        assert found["roots"] > 3
    told = {f'sidecar_confinement{{layer="{one}"}} {float(one not in layers)}' for one in ("openat2", "not_dumpable")}
    assert told <= set(get(container, ADMIN[name], "/metrics").splitlines())


def kernel_has_landlock() -> bool:
    from sidecars.chassis.isolation import landlock  # noqa: PLC0415 - Linux only

    try:
        return landlock.abi() > 0
    except OSError:
        return False


@pytest.mark.parametrize("name", NAMES)
def test_required_without_landlock_ends_with_69(name: str, tmp_path: Path) -> None:
    environ = SERVICE[name] | {f"{name.upper()}_CONFINEMENT": "required"}
    options = [f"--env={key}={value}" for key, value in environ.items()]
    refused = run(
        *("docker", "run", "--rm", *CONFINED, *profile(tmp_path, ["landlock"], errno.EPERM), *options),
        image(name),
        expect=69,
    )
    assert f"{name.upper()}_CONFINEMENT=required: the kernel gives this process no Landlock (EPERM)" in refused.stderr


# -- a neighbour of the same user, in a shared PID namespace -------------------------------------------------------

NEIGHBOUR = """
import ctypes, errno, json, os

def name_of(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""

def attach(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ctypes.c_long(16), ctypes.c_long(pid), None, None):
        raise OSError(ctypes.get_errno(), "")
    os.waitpid(pid, 0x40000000)  # __WALL
    libc.ptrace(ctypes.c_long(17), ctypes.c_long(pid), None, None)

found = {}
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    if pid != os.getpid():
        found[pid] = {
            "environ": name_of(lambda: open(f"/proc/{pid}/environ").read()),
            "root": name_of(lambda: open(f"/proc/{pid}/root/etc/passwd").read()),
            "mem": name_of(lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))),
            "ptrace": name_of(lambda: attach(pid)),
        }
print(json.dumps(found))
"""


def neighbour_of(container: str) -> dict[str, dict[str, str]]:
    """Return by process and action the error of a same-user neighbour that shares the PID namespace; "" if it works."""
    command = ["--entrypoint", "/usr/bin/python3", image("adapter"), "-I", "-c", NEIGHBOUR]
    done = subprocess.run(
        ["docker", "run", "--rm", *CONFINED, f"--pid=container:{container}", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_neighbour_of_the_same_user_reads_and_traces_no_process_of_a_sidecar(name: str, start: Start) -> None:
    container = start(name)
    wait_healthy(container)
    found = neighbour_of(container)
    assert len(found) == (3 if name == "ambassador" else 1)  # with its two workers
    for errors in found.values():
        assert errors == {"environ": "EACCES", "root": "EACCES", "mem": "EACCES", "ptrace": "EPERM"}


def test_without_the_confinement_the_same_neighbour_reads_everything(start: Start) -> None:
    """Otherwise the test above would pass for another reason, such as a profile of the engine."""
    container = start("adapter", ADAPTER_CONFINEMENT="off")
    wait_healthy(container)
    assert neighbour_of(container) == {"1": {"environ": "", "root": "", "mem": "", "ptrace": ""}}
