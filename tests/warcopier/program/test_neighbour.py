"""A neighbour that may write into the target, with our uid: links, exchanged directories and planted names."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.warcopier.archives import packed
from tests.warcopier.support import (
    MANIFEST,
    OTHER,
    PRUNE,
    SHOP,
    UNPACK,
    Copier,
    deployed,
    entries,
    leftovers,
    published,
    refused,
    sha256,
    tree,
    tree_digest,
    war,
)

STALE = ".warcopier-0123456789abcdef-1.staging"
MANY = {f"WEB-INF/classes/{number % 60}/{number}.class": b"x" * 50 for number in range(6_000)}


@pytest.fixture
def outside(copier: Copier) -> Path:
    """A directory beside the target, which the copier may write into and must not."""
    folder = copier.target.parent / "outside"
    (folder / STALE / "inner").mkdir(parents=True)
    (folder / "classes" / "0").mkdir(parents=True)
    (folder / "secret").write_text("secret")
    (folder / STALE / "inner" / "precious").write_text("precious")
    return folder


@pytest.fixture(autouse=True)
def outside_stays(outside: Path) -> Iterator[None]:
    """Nothing outside is made, changed, removed, or given another mode or time."""

    def state() -> dict[str, tuple[int, int, int]]:
        found = [outside, *outside.rglob("*")]
        return {str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in found}

    before = state()
    yield
    assert state() == before


# -- links and exchanged directories ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, UNPACK, PRUNE], ids=["WAR", "UNPACK", "PRUNE"])
def test_a_link_in_the_place_of_meta_inf_is_not_followed(copier: Copier, outside: Path, how: dict[str, str]) -> None:
    (copier.target / "META-INF").symlink_to(outside)
    copier.offer(shop=SHOP)
    outcome = copier.run(**how)
    if how == UNPACK:
        refused(outcome, 74, f"{copier.target}/META-INF: it is no directory", "remove it")
    else:
        published(outcome, "1 published")


def test_a_link_in_the_place_of_a_directory_in_an_application_is_not_followed(copier: Copier, outside: Path) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    (copier.target / "shop").rename(outside.parent / "away")
    (copier.target / "shop").mkdir()
    (copier.target / "shop" / "META-INF").symlink_to(outside.parent / "away" / "META-INF")
    refused(copier.run(**UNPACK), 74, f"{copier.target}/shop: neither Tomcat nor an earlier run has unpacked it")


def test_none_of_six_thousand_files_is_unpacked_outside_while_directories_are_exchanged(
    copier: Copier, outside: Path
) -> None:
    copier.offer(shop=packed(MANY))
    pattern = f"{copier.target}/META-INF/.warcopier-*.staging"
    command = [sys.executable, "-m", "tests.warcopier.swap_storm", pattern, "WEB-INF", str(outside)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as neighbour:
        try:
            assert neighbour.stdout
            runs = 0
            while runs < 3 or not select.select([neighbour.stdout], [], [], 0)[0]:  # it may begin late
                assert copier.run(**UNPACK, WARCOPIER_OVERWRITE="always").code in (0, 74)
                runs += 1
                assert runs < 50
            assert neighbour.poll() is None
        finally:
            neighbour.kill()
        assert neighbour.stdout.readline() == b"storm\n"
    assert not [name for name in tree(outside) if name.endswith(".class")]


# -- planted directories ----------------------------------------------------------------------------------------------


def test_nothing_is_removed_from_a_meta_inf_that_others_may_write_into(copier: Copier) -> None:
    planted = copier.target / "META-INF" / STALE
    planted.mkdir(parents=True)
    (planted / "precious").write_text("precious")
    (copier.target / "META-INF").chmod(0o777)
    copier.offer(shop=SHOP)
    for how in ({}, UNPACK):
        published(copier.run(**how))
        assert (planted / "precious").read_text() == "precious"


def test_a_directory_of_ours_is_replaced_only_if_its_tracker_is_ours(copier: Copier) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user; CI runs this as root")
    copier.offer(shop=SHOP)
    precious = copier.target / "shop" / "private" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    tracker = copier.target / "shop" / "META-INF" / "war-tracker"
    tracker.parent.mkdir()
    tracker.touch()
    os.chown(tracker, 12345, 12345)
    refused(copier.run(**UNPACK), 74, f"{copier.target}/shop: neither Tomcat nor an earlier run has unpacked it")
    assert precious.read_text() == "precious"


def test_a_directory_of_another_user_is_removed_only_if_all_in_it_are_his(copier: Copier) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user; CI runs this as root")
    copier.offer(shop=SHOP)
    app = copier.target / "shop"
    precious = app / "private" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    (app / "META-INF").mkdir()
    (app / "META-INF" / "war-tracker").touch()
    for path in (app, app / "META-INF", app / "META-INF" / "war-tracker"):
        os.chown(path, 12345, 12345)
    outcome = published(copier.run(**UNPACK))
    assert [line["reason"] for line in outcome.logs if line["level"] == "warning"] == [
        "a directory of user 0 lies in one of user 12345"
    ]
    assert [path.read_text() for path in copier.target.rglob("precious")] == ["precious"]


# -- planted names ----------------------------------------------------------------------------------------------------


def put_link(place: Path) -> None:
    place.symlink_to("outside/secret")


def put_socket(place: Path) -> None:
    folder = os.open(place.parent, os.O_PATH)  # the whole path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{place.name}")
    os.close(folder)


def put_hard_link(place: Path) -> None:
    os.link(place.parent.parent / "other-file", place)


@pytest.mark.parametrize("put", [put_link, put_socket, put_hard_link, os.mkfifo, Path.mkdir])
@pytest.mark.parametrize("name", [MANIFEST, STALE, ".warcopier-0123456789abcdef.lock"])
def test_whatever_has_the_name_of_one_of_our_files_no_run_waits_or_writes_into_it(
    copier: Copier, put: Callable[[Path], None], name: str
) -> None:
    other = copier.target.parent / "other-file"
    other.write_text("{}")
    put(copier.target / name)
    copier.offer(shop=SHOP)
    outcome = copier.run(**PRUNE)
    published(outcome, "1 published")
    assert deployed(copier.target)["shop.war"] == sha256(SHOP)
    assert other.read_text() == "{}"


def test_a_lock_that_a_neighbour_holds_is_not_waited_for(copier: Copier) -> None:
    """It holds a lock on a lock file that it has planted, and on that of the run that is under way."""
    held = (copier.target / ".warcopier-0123456789abcdef.lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    copier.offer(shop=SHOP)
    stealing = (
        "import fcntl, os\n"
        "flock = fcntl.flock\n"
        "def held(lock, how):\n"
        "    thief = os.open(f'/proc/self/fd/{lock}', os.O_RDWR)\n"
        "    flock(thief, fcntl.LOCK_EX | fcntl.LOCK_NB) if how & fcntl.LOCK_EX else None\n"
        "    flock(lock, how)\n"
        "fcntl.flock = held\n"
    )
    published(copier.run_altered(stealing))
    held.close()


def test_a_file_that_a_neighbour_holds_a_lease_on_is_not_waited_for(copier: Copier) -> None:
    """F_SETLEASE blocks an open() without O_NONBLOCK for 45 seconds. The holder of the lease gets SIGIO."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    one, other = war("one"), war("two")
    assert len(one) == len(other)
    copier.offer(shop=one)
    published(copier.run())
    with (copier.target / "shop.war").open("r+b") as artifact, (copier.target / MANIFEST).open("r+b") as manifest:
        for file in (artifact, manifest):
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        copier.offer(shop=other)
        published(copier.run())
    signal.signal(signal.SIGIO, before)
    assert deployed(copier.target) == {"shop.war": sha256(other)}


def test_leftovers_of_a_killed_run_are_still_removed(copier: Copier) -> None:
    stale = copier.target / "META-INF" / STALE / "inner"
    stale.mkdir(parents=True)
    (stale / "file").touch()
    copier.offer(shop=SHOP, other=OTHER)
    published(copier.run(**UNPACK))
    assert leftovers(copier.target) == []
    assert deployed(copier.target)["shop"] == tree_digest(entries(SHOP))
