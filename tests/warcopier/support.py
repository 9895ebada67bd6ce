"""Helpers for tests of the copier: good and bad WARs, the view of Tomcat, and real disks of a few pages."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support import ROOT

if TYPE_CHECKING:
    from sidecars.warcopier.io_errors import ReadAt

MANIFEST = ".warcopier.json"
TRACKER = "META-INF/war-tracker"
SECOND = 1_000_000_000  # nanoseconds; Tomcat compares times by the second

PRUNE = {"WARCOPIER_PRUNE": "true"}
UNPACK = {"WARCOPIER_UNPACK": "true"}

START = """
import sys
from sidecars.chassis import commandline
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
sys.exit(commandline.job(Settings, app.run))
"""
"""Starts the program, after a test has changed something in it."""


def war(text: str = "hello", *, size: int = 0, compression: int = zipfile.ZIP_DEFLATED, seed: int = 0) -> bytes:
    """Return a small WAR, with `size` more bytes in it that cannot be compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("WEB-INF/web.xml", "<web-app/>")
        archive.writestr("index.html", text)
        if size:
            archive.writestr("WEB-INF/lib/big.jar", noise(size, seed))
    return buffer.getvalue()


def noise(size: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(str(seed).encode()).digest(size)


def reader_of(descriptor: int) -> ReadAt:
    """Return a function that reads ranges of an open file."""
    return lambda offset, length: os.pread(descriptor, length, offset)


LARGE = 1 << 30  # bytes
SLOWLY = [sys.executable, "-m", "tests.warcopier.slowly"]
SHOP, OTHER, NEW = war("shop"), war("other"), war("new")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def deployed(webapps: Path) -> dict[str, str]:
    """Return what Tomcat would serve from this directory now: the digest of each WAR and directory, by name.

    HostConfig deploys every regular file that ends in .war, in any case, and every directory, dot directories too,
    except META-INF and WEB-INF. Fails for a WAR that is not whole: Tomcat would have deployed it.
    """
    found = {}
    for path in list(webapps.iterdir()):
        if path.is_dir():
            if path.name.upper() not in ("META-INF", "WEB-INF"):
                found[path.name] = tree_digest({name: data for name, data in tree(path).items() if name != TRACKER})
        elif path.name.lower().endswith(".war") and path.is_file():
            data = path.read_bytes()
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                assert archive.testzip() is None
            found[path.name] = sha256(data)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a directory."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def entries(data: bytes) -> dict[str, bytes]:
    """Return every file in an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def tree_digest(files: Mapping[str, bytes]) -> str:
    """Return one digest of all names and contents: equal for an archive's `entries` and the unpacked `tree`."""
    return sha256(b"".join(f"{name} {sha256(data)}\n".encode() for name, data in sorted(files.items())))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leftovers(webapps: Path) -> list[str]:
    """Return the names that a run has left, without artifacts and the manifest."""
    found = [name for name in names(webapps) if name not in deployed(webapps) and name != MANIFEST]
    with contextlib.suppress(FileNotFoundError):
        found += [f"META-INF/{name}" for name in names(webapps / "META-INF")]
    return sorted(found)


@dataclass(frozen=True)
class Outcome:
    """The end of a run: its exit code and its log."""

    code: int
    logs: list[dict[str, Any]]
    stderr: str

    @property
    def last(self) -> str:
        return str(self.logs[-1]["msg"])

    @property
    def warnings(self) -> list[str]:
        return [line["msg"] for line in self.logs if line["level"] == "warning"]


def without_power() -> None:
    """Take root's power over all files from a program, before it starts."""
    if os.geteuid() == 0:
        for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


@dataclass
class Copier:
    """The real program, with a source and a target directory of its own."""

    source: Path
    target: Path

    def run(self, *arguments: str, module: str = "sidecars.warcopier", **environ: str) -> Outcome:
        return self._ended(["-m", module, *arguments], environ)

    def run_altered(self, alteration: str, **environ: str) -> Outcome:
        """Run it after these lines of Python have changed something in it, or below it, also outside its roots."""
        return self._ended(["-c", alteration + START], {"WARCOPIER_CONFINEMENT": "off", **environ})

    def run_without_power(self, **environ: str) -> Outcome:
        """Run it as a user with no power over the files of others, even if the tests run as root."""
        return self.run_prepared(without_power, **environ)

    def run_prepared(self, before: Callable[[], None], **environ: str) -> Outcome:
        """Run it in a process in which `before` was called."""
        return self._ended(["-m", "sidecars.warcopier"], environ, before)

    def _ended(
        self, arguments: list[str], environ: Mapping[str, str], before: Callable[[], None] | None = None
    ) -> Outcome:
        ended = subprocess.run(
            [sys.executable, *arguments],
            env=self.environ(environ),
            cwd=self.source.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            preexec_fn=before,
        )
        stderr = ended.stderr.decode()
        logs = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
        return Outcome(ended.returncode, logs, stderr)

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        ours = {"WARCOPIER_SOURCE": str(self.source), "WARCOPIER_TARGET": str(self.target), "WARCOPIER_RESERVE": "0"}
        if more.get("WARCOPIER_TARGET", "").startswith("/proc/"):
            ours["WARCOPIER_CONFINEMENT"] = "off"  # a confined process enters no other one's mount namespace
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ours, **more}

    def offer(self, **wars: bytes) -> None:
        """Put WARs into the source: `offer(shop=b"…")` is shop.war."""
        for name, data in wars.items():
            (self.source / f"{name}.war").write_bytes(data)

    def offer_large(self) -> None:
        """Make shop.war a hole of LARGE bytes: it takes no room, and minutes to copy with `tests.warcopier.slowly`."""
        place = self.source / "shop.war"
        place.touch()
        os.truncate(place, LARGE)

    def names(self) -> list[str]:
        return names(self.target)


def refused(outcome: Outcome, code: int, *said: str) -> None:
    """Assert that a run ended with this code, and that its last line has these reasons in one sentence."""
    assert outcome.code == code, outcome.stderr
    assert outcome.logs[-1]["level"] == "error"
    assert outcome.logs[-1]["exit_code"] == code
    assert "\n" not in outcome.last or code == 78
    for part in said:
        assert part in outcome.last
    assert "traceback" not in outcome.stderr.lower()


def published(outcome: Outcome, last: str = "") -> Outcome:
    """Assert that a run ended well, with this text in its last line."""
    assert outcome.code == 0, outcome.stderr
    assert last in outcome.last
    return outcome


class Disk:
    """A real tmpfs of this size (as for mount: `1m`), in a mount namespace of its own. `path` leads to it.

    It needs no root where user namespaces are allowed. Where neither is possible the test fails: nothing is skipped.
    """

    SCRIPT = """
    set -e
    mount -t tmpfs -o "size=$1,mode=777" none "$2"
    echo mounted
    read -r line
    mount -o remount,bind,ro "$2"
    echo read-only
    read -r line
    """

    def __init__(self, size: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        unshare = shutil.which("unshare")
        assert unshare, "unshare (util-linux) is needed to make a small disk"
        flags = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
        command = [unshare, *flags, "sh", "-c", self.SCRIPT, "sh", size, str(folder)]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.path = Path(f"/proc/{self._holder.pid}/root{folder}")

    def __enter__(self) -> Self:
        self._expect(b"mounted\n", "neither root nor user namespaces here")
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.communicate()

    def make_read_only(self) -> None:
        assert self._holder.stdin
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        self._expect(b"read-only\n", "it cannot be mounted again")

    def _expect(self, answer: bytes, otherwise: str) -> None:
        assert self._holder.stdout
        if self._holder.stdout.readline() != answer:
            self.__exit__()
            raise AssertionError(f"no small disk: {otherwise}")


@contextlib.contextmanager
def disk(size: str, folder: Path) -> Iterator[Path]:
    """Return the path of a small disk, which exists as long as the context is open."""
    with Disk(size, folder) as small:
        yield small.path
