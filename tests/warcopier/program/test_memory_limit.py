"""A target in memory and a real cgroup: a WAR beyond the memory limit is refused, not killed by the kernel."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecars.warcopier.target.memory_limit import BYTES_PER_FILE, OWN_USE
from tests.support import wait_until
from tests.warcopier.archives import packed
from tests.warcopier.support import (
    UNPACK,
    Copier,
    deployed,
    entries,
    leftovers,
    names,
    published,
    refused,
    sha256,
    tree_digest,
    war,
)

MIB = 1 << 20
V2_LIMIT, V1_LIMIT = "memory.max", "memory.limit_in_bytes"
LIMIT = 32 * MIB


LARGE = war(size=LIMIT, compression=zipfile.ZIP_STORED)


SMALL = war(size=4 * MIB, compression=zipfile.ZIP_STORED)


class Group:
    """A real cgroup of this machine with a memory limit. A process that calls `join` is in it."""

    def __init__(self, limit: int) -> None:
        v1 = Path("/sys/fs/cgroup/memory")
        self.place = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / f"warcopier-test-{os.getpid()}"
        self.place.mkdir()
        (self.place / (V1_LIMIT if v1.is_dir() else V2_LIMIT)).write_text(str(limit))

    def join(self) -> None:
        (self.place / "cgroup.procs").write_text(str(os.getpid()))


def _removed(place: Path) -> bool:
    with contextlib.suppress(OSError):  # busy: a child of the copier that has ended is not gone yet
        place.rmdir()
    return not place.exists()


@contextlib.contextmanager
def limited(limit: int) -> Iterator[Group]:
    """Make a cgroup for the context. Remove files in memory first: their memory would be charged to its parent."""
    group = Group(limit)
    try:
        yield group
    finally:
        wait_until(lambda: _removed(group.place), "the end of the last process in it")


@pytest.mark.parametrize("unpack", ["false", "true"])
def test_a_war_that_does_not_fit_into_the_memory_limit_is_refused_and_one_that_does_is_published(
    copier: Copier, in_memory: Path, unpack: str
) -> None:
    settings = {"WARCOPIER_TARGET": str(in_memory), "WARCOPIER_UNPACK": unpack}
    with limited(LIMIT) as group:
        copier.offer(shop=LARGE)
        outcome = copier.run_prepared(group.join, **settings)
        refused(outcome, 74, f"WARCOPIER_TARGET={in_memory}: it is in memory", f"={LIMIT}) leaves", "raise that limit")
        assert f"{OWN_USE} for the copier" in outcome.last
        assert names(in_memory) == []
        copier.offer(shop=SMALL)
        published(copier.run_prepared(group.join, **settings))
        name, digest = ("shop", tree_digest(entries(SMALL))) if unpack == "true" else ("shop.war", sha256(SMALL))
        assert deployed(in_memory) == {name: digest}
        assert leftovers(in_memory) == []


def test_many_empty_files_take_memory_too(copier: Copier, in_memory: Path) -> None:
    copier.offer(shop=packed({f"{number}": b"" for number in range(LIMIT // BYTES_PER_FILE)}, zipfile.ZIP_STORED))
    with limited(LIMIT) as group:
        outcome = copier.run_prepared(group.join, **UNPACK, WARCOPIER_TARGET=str(in_memory))
        refused(outcome, 74, f"WARCOPIER_TARGET={in_memory}: it is in memory", f"{LIMIT} bytes are needed for")
    assert names(in_memory) == []


def test_a_limit_of_memory_is_no_limit_of_a_disk(copier: Copier) -> None:
    copier.offer(shop=LARGE)
    with limited(LIMIT) as group:
        published(copier.run_prepared(group.join))
    assert deployed(copier.target) == {"shop.war": sha256(LARGE)}


def test_what_is_in_memory_without_a_limit_is_published(copier: Copier, in_memory: Path) -> None:
    copier.offer(shop=war(size=2 * MIB))
    published(copier.run(WARCOPIER_TARGET=str(in_memory)))
    copier.offer(shop=war(size=2 * MIB, seed=1))
    published(copier.run(WARCOPIER_TARGET=str(in_memory), **UNPACK))
