"""Limits of the machine and the container: no more threads, and directories of other users."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warcopier.support import (
    NEW,
    SHOP,
    TRACKER,
    UNPACK,
    Copier,
    deployed,
    disk,
    entries,
    leftovers,
    names,
    noise,
    published,
    refused,
    sha256,
    tree_digest,
    war,
)

LARGE = war("large", size=3_000_000)


def alone() -> None:
    """Limit the user of a program, before it starts, to one process or thread, as `--pids-limit 1` does."""
    if os.geteuid() == 0:  # the limit does not apply to root, so take a uid without other processes
        for capability in (21, 24):  # CAP_SYS_ADMIN, CAP_SYS_RESOURCE
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        os.setresuid(64_000 + os.getpid() % 1_000, 0, 0)
    else:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


@pytest.fixture
def lonely(copier: Copier) -> Copier:
    probe = "import threading; threading.Thread(target=int).start()"
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False, preexec_fn=alone)
    assert b"can't start new thread" in ended.stderr
    return copier


@pytest.mark.parametrize("unpack", ["false", "true"])
@pytest.mark.parametrize("digest", [{}, {"WARCOPIER_VALIDATE": "none", "WARCOPIER_DIGEST": "false"}])
def test_where_there_may_be_no_more_threads_the_work_is_done_by_one(
    lonely: Copier, unpack: str, digest: dict[str, str]
) -> None:
    settings = {"WARCOPIER_UNPACK": unpack, **({} if unpack == "true" else digest)}
    for data in (LARGE, war("other", size=3_000_000, seed=1)):
        lonely.offer(shop=data)
        published(lonely.run_prepared(alone, **settings), "1 published")
        published(lonely.run_prepared(alone, **settings), "nothing to do")
        name, digest_of = ("shop", tree_digest(entries(data))) if unpack == "true" else ("shop.war", sha256(data))
        assert deployed(lonely.target) == {name: digest_of}
        assert leftovers(lonely.target) == []


def test_what_is_broken_is_refused_there_too(lonely: Copier) -> None:
    lonely.offer(shop=LARGE[:2_000_000] + b"X" + LARGE[2_000_001:])
    refused(lonely.run_prepared(alone), 65, "is damaged", "nothing was published")
    assert lonely.names() == []


def test_to_stay_takes_a_second_thread_and_where_there_is_none_that_is_told(lonely: Copier) -> None:
    lonely.offer(shop=SHOP)
    outcome = lonely.run_prepared(alone, WARCOPIER_WATCH="true", WARCOPIER_ADMIN_LISTEN="off")
    refused(outcome, 74, "WARCOPIER_WATCH=true", "no more threads", "pids-limit")


# -- what is looked at first ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unpack", ["false", "true"])
def test_a_large_file_that_is_no_archive_is_refused_before_a_byte_of_it_is_written(
    copier: Copier, tmp_path: Path, unpack: str
) -> None:
    (copier.source / "shop.war").touch()
    os.truncate(copier.source / "shop.war", 5 << 30)
    with disk("64k", tmp_path / "disk") as target:  # the check of the free space would come later
        outcome = copier.run(WARCOPIER_UNPACK=unpack, WARCOPIER_TARGET=str(target))
        refused(outcome, 65, f"{copier.source}/shop.war: is not a zip")
        assert names(target) == []


def test_a_large_archive_beyond_a_limit_is_refused_before_a_byte_of_it_is_written(
    copier: Copier, tmp_path: Path
) -> None:
    copier.offer(shop=LARGE)
    with disk("64k", tmp_path / "disk") as target:
        outcome = copier.run(WARCOPIER_MAX_UNPACKED_SIZE="1MB", WARCOPIER_TARGET=str(target))
        refused(outcome, 65, "WARCOPIER_MAX_UNPACKED_SIZE=1000000")


# -- what others have closed to us ------------------------------------------------------------------------------------


def unpacked_by_root(copier: Copier) -> Path:
    """Make the directory that Tomcat as root unpacks beside a WAR: other users may not enter it."""
    place = copier.target / "shop"
    (place / "META-INF").mkdir(parents=True)
    (place / TRACKER).touch()
    place.chmod(0)
    return place


def test_a_directory_that_cannot_be_looked_into_is_not_said_to_hide_the_war(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    place = unpacked_by_root(copier)
    for data in (SHOP, NEW):
        copier.offer(shop=data)
        outcome = published(copier.run_without_power(), "1 published")
        assert outcome.warnings == []
        assert sha256((copier.target / "shop.war").read_bytes()) == sha256(data)
    place.chmod(0o755)


def test_a_directory_without_tomcats_mark_is_still_said_to_hide_the_war(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop").mkdir()
    outcome = published(copier.run())
    assert outcome.warnings == ["a directory of that name, not unpacked by Tomcat, hides it"]


def test_a_directory_that_cannot_be_looked_into_is_not_replaced_and_the_reason_is_true(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    place = unpacked_by_root(copier)
    refused(copier.run_without_power(**UNPACK), 74, f"{place}: user {os.geteuid()}, group", "may not look into it")
    place.chmod(0o755)
    assert (place / TRACKER).exists()


def test_noise_is_no_archive_however_large(copier: Copier) -> None:
    copier.offer(shop=noise(3_000_000))
    refused(copier.run(), 65, "is not a zip")
