"""The places of declared roots: the directories and files that are there at the start, and get a rule each."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import sidecars
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.chassis.runtime.lifecycle import TERMINATION_LOG
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Libraries, zones, certificates, look-ups of names, and what the kernel tells about this process.
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc")
_OFTEN_LINKS = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime")  # systemd-resolved keeps resolv.conf in /run
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # variables that OpenSSL reads


def places(root: DeclaredRoot) -> Iterator[str]:
    """Yield the existing paths for which a root stands. There is none if its directory is missing.

    A missing directory that is only read may come later: the nearest directory above it takes its place, but never `/`,
    which would open everything.
    """
    path = os.path.join(os.getcwd(), root.path)  # noqa: PTH109, PTH118 - a job loads no pathlib
    if root.alone:
        if os.path.exists(path):  # noqa: PTH110 - a job loads no pathlib
            yield path
        return
    if root.made:
        with suppress(OSError):  # the process reports it, in a sentence of its own
            os.makedirs(path, exist_ok=True)  # noqa: PTH103 - a job loads no pathlib
    exists = os.path.exists(path)  # noqa: PTH110 - a job loads no pathlib
    if exists or not root.access & roots.WRITE_FILE:
        yield from _directory_of(path)
    if exists:  # else `realpath` recurses once for each link of a long chain
        yield from _directory_of(os.path.realpath(path))
        yield from _holders_of_links(path)


def _directory_of(path: str) -> Iterator[str]:
    """Yield the path if it is a directory, else the nearest directory above it; for a file in `/`, the file."""
    directory = path
    while not os.path.isdir(directory):  # noqa: PTH112 - a job loads no pathlib
        directory = os.path.dirname(directory)  # noqa: PTH120 - a job loads no pathlib
    if directory != "/" or path == "/":
        yield directory
    elif os.path.exists(path):  # noqa: PTH110 - a job loads no pathlib
        yield path


def _holders_of_links(path: str) -> Iterator[str]:
    """Yield the directory of each link on the path that leads to a place beneath that directory.

    Such a link is replaced when there is a new version: `..data` of a ConfigMap, `current` of git-sync. A link to
    elsewhere (`/var/run`) is part of the system.
    """
    holder = ""
    for name in path.split("/"):
        here = f"{holder}/{name}" if name else holder
        if holder and os.path.islink(here):  # noqa: PTH114 - a job loads no pathlib
            beneath = f"{os.path.realpath(holder)}/"
            if os.path.realpath(here).startswith(beneath):
                yield holder
        holder = here


def own_roots() -> Iterator[DeclaredRoot]:
    """Yield the roots that a Python program needs in any case: its code, the system's files, and places to end well."""
    code = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sidecars.__path__}
    code |= {entry for entry in sys.path if os.path.isabs(entry)}  # noqa: PTH117 - a job loads no pathlib
    if sys.pycache_prefix:
        code.add(sys.pycache_prefix)
    # The working directory is on the path of `python -m`. `/` there must not open everything.
    for path in sorted(code - {"/"}):
        yield DeclaredRoot(path, roots.READ, alone=True)  # as it is now: nothing of it is replaced
    for path in _SYSTEM:
        yield DeclaredRoot(path, roots.READ, alone=True)
    for path in _OFTEN_LINKS:
        if os.path.islink(path):  # noqa: PTH114 - a job loads no pathlib
            yield DeclaredRoot(path, roots.READ)
    for name in _CERTIFICATES:
        if path := os.environ.get(name, ""):
            yield DeclaredRoot(path, roots.READ)
    yield DeclaredRoot(os.devnull, roots.OVERWRITE, alone=True)
    yield DeclaredRoot(TERMINATION_LOG, roots.OVERWRITE, alone=True)
