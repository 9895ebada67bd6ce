"""A sidecar, a planter that shares its volumes, and files outside that nobody may touch.

    folder/vol state sink dead source target     the roots, as an emptyDir with fsGroup is: mode 2777, a common group
    folder/outside/<attack>/                     canaries: the sidecar's user may read and write them
    another mount/<attack>                       a Secret's volume: no hard link reaches it

The sidecar runs below strace, as a user without capabilities, and in the layers that the test asks for.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import site
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import pytest

from sidecars.chassis.config.settings import specs
from tests.hostile import oracle
from tests.hostile.attack import Attack, Layers, Step
from tests.support import CODE, PATIENCE, ROOT, Program, peer, wait_until

HERE = Path(__file__).parent
USERS = {"warcopier": 64911, "logshipper": 64912, "ambassador": 64913, "adapter": 64914}
APP = 64999  # the user of an app in a Pod whose manifest follows ours
GROUP = 64900  # fsGroup
ROOTS = ("vol", "state", "sink", "dead", "source", "target")
OTHER_MOUNT = Path("/dev/shm")
SECRET = "canary"  # begins each secret, which is different for each attack


def is_root() -> bool:
    return os.geteuid() == 0


def need_root(what: str) -> None:
    """Skip a test that needs other users, where the tests may not have them. In CI it fails instead."""
    if not is_root():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"only root can start {what}")


@cache
def landlock_version() -> int:
    """Return the ABI of Landlock here; 0 if the kernel has none (landlock_create_ruleset(2))."""
    return max(0, int(ctypes.CDLL(None).syscall(444, None, 0, 1)))


def user_of(sidecar: str, circumstances: dict[str, Any]) -> dict[str, Any]:
    if not is_root():
        return circumstances
    uid = USERS[sidecar]
    return {**circumstances, "uid": uid, "gid": uid, "groups": [GROUP]}


@cache
def interpreter(uid: int) -> tuple[str, str]:
    """Return a Python that this user may start, and its PYTHONPATH. The one of the tests may lie in root's home."""
    packages = ":".join((str(CODE), str(ROOT), *site.getsitepackages()))
    user = {"uid": uid, "gid": uid} if is_root() else {}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in filter(None, (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin"))):
        trial = [
            sys.executable,
            "-I",
            str(HERE / "launcher.py"),
            json.dumps(user),
            python,
            "-c",
            "import h11, sidecars",
        ]
        environ = {"PYTHONPATH": packages}
        if subprocess.run(trial, env=environ, cwd="/", capture_output=True, check=False).returncode == 0:
            return python, packages
    raise AssertionError(f"no Python here that user {uid} may start: put the checkout where everybody may read it")


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return all that must not change below a folder: kind, mode, owner, mtime, names, attributes and content."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _attributes(path)}
        owner = (status.st_uid, status.st_gid, status.st_nlink)
        found[str(path.relative_to(folder))] = (oct(status.st_mode), *owner, status.st_mtime_ns, attributes, content)
    return found


def _attributes(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listxattr(path, follow_symlinks=False)
    return []


class Neighbourhood:
    """The directories, the planter and the sidecar of one life. A context: everything is gone at its end."""

    def __init__(self, sidecar: str, layers: Layers) -> None:
        if not layers.same_user:
            need_root("a planter of another user")
        self.sidecar = sidecar
        self.layers = layers
        self.folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        self.folder.chmod(0o755)
        self.away = Path(tempfile.mkdtemp(prefix="hostile-", dir=OTHER_MOUNT))
        self.away.chmod(0o755)
        self.uid = USERS[sidecar] if is_root() else os.geteuid()
        for name in ROOTS:
            (self.folder / name).mkdir()
            if is_root():
                os.chown(self.folder / name, 0, GROUP)
            (self.folder / name).chmod(0o2777)
        for name in ("outside", "kept"):
            (self.folder / name).mkdir(0o755)
        self.program: Program | None = None
        self._planter: subprocess.Popen[str] | None = None
        self._before: dict[str, dict[str, tuple[Any, ...]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.program is not None:
            self.kill()
        if self._planter is not None:
            self._planter.kill()
            self._planter.communicate()
        for folder in (self.folder, self.away):
            _remove(folder)

    # -- the planter -----------------------------------------------------------------------------------------------

    def outside(self, attack: Attack) -> Path:
        return self.folder / "outside" / slug(attack.name)

    def places(self, attack: Attack | None = None) -> dict[str, str]:
        places = {name: str(self.folder / name) for name in ROOTS}
        places["away"] = str(self.away)
        if attack is not None:
            places["out"] = str(self.outside(attack))
        if self.program is not None:
            places["pid"] = str(self.pid)
        return places

    def prepare(self, attack: Attack) -> None:
        """Make the canaries of an attack: files of the sidecar's own user, so that no permission protects them."""
        folder = self.outside(attack)
        folder.mkdir(parents=True)
        for number, name in enumerate(attack.outside):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{secret(attack)} line {number}\n" * 5)
            with contextlib.suppress(OSError):  # not on each file system
                os.setxattr(path, "user.canary", slug(attack.name).encode())
        for path in [folder, *folder.rglob("*")]:
            if is_root():
                os.chown(path, self.uid, self.uid)
            os.utime(path, (1_000_000_000, 1_000_000_000))
            path.chmod(0o700 if path.is_dir() else 0o600)
        away = self.away / slug(attack.name)
        away.write_text(f"{secret(attack)} on a volume of its own\n")
        if is_root():
            os.chown(away, self.uid, self.uid)
        away.chmod(0o600)
        self._before[attack.name] = snapshot(folder)

    def plant(self, attack: Attack | None, steps: tuple[Step, ...]) -> list[str]:
        """Let the planter take the steps. Return the answer to each."""
        if attack is not None and attack.by_root and steps:
            with self._start_planter(None) as root:
                answers = [self._step(root, attack, step) for step in steps]
                root.communicate()
                return answers
        if self._planter is None:
            self._planter = self._start_planter(self.uid if self.layers.same_user else APP)
        return [self._step(self._planter, attack, step) for step in steps]

    def _start_planter(self, uid: int | None) -> subprocess.Popen[str]:
        user = {} if uid is None or not is_root() else {"uid": uid, "gid": uid, "groups": [GROUP]}
        python, path = interpreter(uid or os.geteuid())
        launch = [sys.executable, "-I", str(HERE / "launcher.py"), json.dumps(user)]
        return subprocess.Popen(
            [*launch, python, "-m", "tests.hostile.planter"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.folder,
            env={"PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        )  # fmt: skip

    def _step(self, planter: subprocess.Popen[str], attack: Attack | None, step: Step) -> str:
        assert planter.stdin
        assert planter.stdout
        places = self.places(attack)
        filled = [part.format_map(places) if isinstance(part, str) else part for part in step]
        planter.stdin.write(json.dumps(filled) + "\n")
        planter.stdin.flush()
        return str(json.loads(planter.stdout.readline()))

    # -- the sidecar -----------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        def told() -> int:
            with contextlib.suppress(OSError, ValueError):
                return int((self.folder / "kept" / "pid").read_text())
            return 0

        return wait_until(told, "the sidecar's process id")

    def start(self, environ: Mapping[str, str], *command: str, traced: bool = True) -> Program:
        """Start the sidecar below strace, or another Python `command` with the same user and layers.

        A process that strace traces cannot be traced by another one: `traced=False` is for a test of that.
        """
        python, path = interpreter(self.uid)
        circumstances = user_of(self.sidecar, {"pid_file": str(self.folder / "kept" / "pid")})
        if self.layers.openat2:
            circumstances["refuse"] = self.layers.refusal
        trace = [peer("strace"), "-ff", "-y", "-qq", "-o", str(self.folder / "kept" / "trace")] if traced else []
        trace += ["-e", f"trace={oracle.expression()}", "-e", "signal=none"] if traced else []
        launcher = [sys.executable, "-I", str(HERE / "launcher.py")]
        variable = f"{self.sidecar.upper()}_CONFINEMENT"
        known = variable in {
            spec.variable for spec in specs(import_module(f"sidecars.{self.sidecar}.settings").Settings)
        }
        confinement = {variable: "best-effort" if self.layers.landlock else "off"} if known else {}
        self.program = Program(
            [*launcher[1:], "{}", *trace, *launcher, json.dumps(circumstances), python,
             *(command or self._module())],
            {
                "PYTHONPATH": path,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONSAFEPATH": "1",  # as in the images, which start Python isolated
                "PYTHONNOUSERSITE": "1",
                "HOME": "/nonexistent",
                "CANARY": f"{SECRET}-of-the-environment",
                **confinement,
                **environ,
            },
            self.folder / "kept",
        )  # fmt: skip
        return self.program

    def _module(self) -> tuple[str, ...]:
        name = f"sidecars.{self.sidecar}"
        return ("-m", name) if self.layers.beneath else ("-m", "tests.hostile.unprotected", name)

    def kill(self) -> None:
        assert self.program is not None
        if self.program.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.program.kill()

    def stop(self) -> int:
        """Send SIGTERM to the sidecar, and return its exit code."""
        assert self.program is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        return self.program.wait(PATIENCE)

    # -- what came of it -------------------------------------------------------------------------------------------

    def escapes(self, readable: tuple[str, ...], writable: tuple[str, ...]) -> list[str]:
        """Return each call that left the roots, with the reason."""
        packages = [str(Path(place).resolve()) for place in site.getsitepackages()]
        code = (sys.prefix, sys.base_prefix, str(CODE), str(ROOT), *packages, str(Path(sys.executable).resolve()))
        judge = oracle.Judge(
            tuple(str(self.folder / name) for name in readable),
            tuple(str(self.folder / name) for name in writable),
            code,
        )
        return [f"{reason}: {call}" for call in self.calls() if (reason := judge.escape(call))]

    def calls(self) -> Iterator[oracle.Call]:
        return oracle.calls(self.folder / "kept", "trace", self.pid)

    def changed(self, attack: Attack) -> list[str]:
        """Return the names of the attack's canaries that are not as they were."""
        before, now = self._before[attack.name], snapshot(self.outside(attack))
        return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))

    def outputs(self) -> str:
        """Return all that left the sidecar: its output, and the files of its sinks."""
        assert self.program is not None
        files = [path for name in ("sink", "dead") for path in _files(self.folder / name)]
        return "\n".join(
            [self.program.stdout, self.program.stderr, *(path.read_text(errors="replace") for path in files)]
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if stat.S_ISREG(path.lstat().st_mode)]


def _remove(folder: Path) -> None:
    """Remove a tree of any depth: `rm` changes into its directories."""
    subprocess.run(["rm", "-rf", "--", str(folder)], check=True)


def slug(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name)


def secret(attack: Attack) -> str:
    return f"{SECRET}-{slug(attack.name)}-{hashlib.sha256(attack.name.encode()).hexdigest()[:8]}"
