"""Paths are opened beneath a root: plain path operations stand only in the modules that are listed here with a reason.

A plain operation follows links, also those that a neighbour has planted on a shared volume. `Root` of
`chassis.isolation.beneath` follows none. What has a descriptor (`dir_fd=`, or a number instead of a path) is no plain
operation.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.repo.test_texts import tracked
from tests.support import ROOT


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OF_OS = words(
    """open stat lstat listdir scandir walk fwalk unlink remove rename replace mkdir makedirs rmdir removedirs
    chmod lchmod chown lchown utime link symlink readlink access truncate mkfifo mknod statvfs setxattr getxattr
    removexattr"""
)
OF_PATHS = words("exists lexists isfile isdir islink ismount realpath samefile getsize getmtime")
OF_PATHLIB = (
    words(  # without those that other objects have, too: open, exists, stat, unlink, rename, walk, glob, resolve
        """read_text read_bytes write_text write_bytes is_file is_dir is_symlink is_socket is_fifo iterdir rglob lstat
    mkdir rmdir touch symlink_to hardlink_to readlink samefile chmod"""
    )
)
MODULES = frozenset({"shutil", "glob", "tempfile"})

DESCRIPTOR = "of a descriptor that is open already"
OPERATORS = "a path of the operator: it is in the settings, and links in it are the operator's"
KERNEL = "a file of the kernel: in /proc, /sys or /dev"
NAMES = "only compared or listed: what is opened is looked at again, through its descriptor"
SOURCE = "metadata of the source of the copier; `source/opening` opens it beneath the directory of the setting"
EXEMPT: dict[str, tuple[str, str]] = {
    "adapter/verdict/rule_file.py": ("os.stat", OPERATORS),
    "ambassador/transport/disconnects.py": ("path.read_text", KERNEL),
    "ambassador/workers/shares.py": ("import tempfile, os.truncate", "a file without a name, in memory"),
    "chassis/accept/listen.py": ("os.lstat, os.unlink", f"the socket's path; {OPERATORS}"),
    "chassis/accept/port_holder.py": ("read_text", KERNEL),
    "chassis/http/tls.py": ("os.stat", OPERATORS),
    "chassis/identity/answers.py": ("file_io.read_text", OPERATORS),
    "chassis/identity/google_federation.py": ("file_io.read_text", OPERATORS),
    "chassis/identity/local_keys.py": ("file_io.read_text", OPERATORS),
    "chassis/identity/oauth/oauth_client.py": ("file_io.read_text", OPERATORS),
    "chassis/isolation/beneath.py": (
        "os.open, os.scandir",
        "it is the way: a root's own path, and one component at a time",
    ),
    "chassis/isolation/confine.py": ("os.open, os.listdir", OPERATORS),
    "chassis/isolation/places.py": (
        "os.makedirs, os.path.exists, os.path.isdir, os.path.islink, os.path.realpath",
        OPERATORS,
    ),
    "chassis/probe.py": ("folder.iterdir", "a program of its own, which reads the image's own folder"),
    "chassis/runtime/descriptors.py": ("os.listdir", KERNEL),
    "chassis/runtime/file_io.py": ("os.open, os.stat, open", "the bounded reader of files that settings name"),
    "chassis/runtime/lifecycle.py": ("open, os.open", f"/dev/null, and the termination log: {KERNEL}"),
    "chassis/runtime/log_writer.py": ("os.open", KERNEL),
    "chassis/streams.py": ("os.open", KERNEL),
    "chassis/settings_tables.py": (
        "iterdir, rglob, page.read_text, readme.read_text, readme.write_text",
        "a tool of the repository",
    ),
    "logshipper/input/discovery.py": ("os.stat, os.path.lexists", NAMES),
    "logshipper/volumes/configured_paths.py": ("open, os.stat", f"{KERNEL}; the other is {NAMES}"),
    "logshipper/volumes/globs.py": (
        "entry.is_file, entry.is_symlink, entry.is_dir",
        f"an entry of a scan of {DESCRIPTOR}",
    ),
    "logshipper/volumes/log_volumes.py": ("os.stat", NAMES),
    "logshipper/volumes/own_files.py": ("os.stat", NAMES),
    "warcopier/app.py": ("os.path.islink", SOURCE),
    "warcopier/archive/unpacking.py": ("os.scandir, os.utime, one.is_dir", DESCRIPTOR),
    "warcopier/source/globbing.py": ("os.scandir, os.stat, os.path.isdir, os.path.lexists, one.is_dir", SOURCE),
    "warcopier/source/listing.py": (
        "os.lstat, os.stat, os.listdir, os.path.isdir, os.path.islink, os.path.exists, os.path.realpath",
        SOURCE,
    ),
    "warcopier/source/opening.py": ("os.path.islink, os.path.realpath", f"{OPERATORS}, and a name; {NAMES}"),
    "warcopier/target/directory.py": ("os.listdir, os.stat, os.path.realpath", f"{DESCRIPTOR}; the others: {SOURCE}"),
    "warcopier/target/directory_swap.py": ("os.listdir, os.chmod", DESCRIPTOR),
    "warcopier/target/free_space.py": ("os.statvfs", DESCRIPTOR),
    "warcopier/target/memory_limit.py": ("open", KERNEL),
    "warcopier/target/stager.py": ("os.utime", DESCRIPTOR),
    "warcopier/transfer/fork_pool.py": ("open", DESCRIPTOR),
    "warcopier/watch/change_events.py": ("os.access", SOURCE),
    "warcopier/watch/watched_directories.py": ("os.stat, os.path.isdir, os.path.islink, os.path.lexists", SOURCE),
    "warcopier/watch/watcher.py": ("os.stat", SOURCE),
}
"""Modules with their plain operations, and why those are safe."""


def plain_operations(source: str) -> Iterator[str]:
    """Yield the line and the text of each plain path operation of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            module = node.module if isinstance(node, ast.ImportFrom) else None
            yield from (f"{node.lineno}: import {name}" for name in MODULES & (names | {module or ""}))
        elif isinstance(node, ast.Call) and _is_plain(node):
            yield f"{node.lineno}: {ast.unparse(node.func)}"


def _is_plain(call: ast.Call) -> bool:
    if any(word.arg in ("dir_fd", "src_dir_fd") for word in call.keywords):
        return False
    match call.func:
        case ast.Name("open"):
            return True
        case ast.Attribute(ast.Name("os"), name):
            return name in OF_OS
        case ast.Attribute(ast.Attribute(ast.Name("os"), "path"), name):
            return name in OF_PATHS
        case ast.Attribute(_, name):
            return name in OF_PATHLIB
    return False


def found_in(name: str) -> set[str]:
    """Return the plain operations of a module, each once, without their lines."""
    return {one.partition(": ")[2] for one in plain_operations((ROOT / "sidecars" / name).read_text())}


def named(operations: str) -> set[str]:
    return set(operations.split(", "))


def test_every_path_of_a_shared_volume_is_opened_beneath_its_root() -> None:
    wrong = {}
    for path in tracked("sidecars/*.py"):
        name = str(path.relative_to(ROOT / "sidecars"))
        known = named(EXEMPT.get(name, ("", ""))[0])
        lines = [one for one in plain_operations(path.read_text()) if not _is_known(one.partition(": ")[2], known)]
        if lines:
            wrong[name] = lines
    assert wrong == {}, "open them by chassis.isolation.beneath.Root, or name them in EXEMPT with a reason"


def _is_known(operation: str, known: set[str]) -> bool:
    return operation in known or operation.rpartition(".")[2] in known


@pytest.mark.parametrize("name", EXEMPT)
def test_what_is_exempt_is_still_there(name: str) -> None:
    """An exemption that nothing needs would hide the next plain operation."""
    known = named(EXEMPT[name][0])
    there = found_in(name)
    assert {one for one in known if not any(_is_known(found, {one}) for found in there)} == set()


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "os.open(path, 0)",
        "os.rename(a, b)",
        "shutil.rmtree(x)\nimport shutil",
        "from glob import iglob",
        "import os.path, tempfile",
        "(root / 'x').write_text('y')",
        "path.mkdir(parents=True)",
        "os.path.exists(x)",
        "os.walk('.')",
    ],
)
def test_a_plain_operation_is_found(source: str) -> None:
    assert list(plain_operations(source))


@pytest.mark.parametrize(
    "source", ["os.open('x', 0, dir_fd=root)", "root.open_file('x')", "os.read(4, 1)", "os.fstat(4)", "import os.path"]
)
def test_an_operation_beneath_a_descriptor_is_none(source: str) -> None:
    assert not list(plain_operations(source))
