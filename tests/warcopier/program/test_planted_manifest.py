"""A planted `.warcopier.json`: it makes no run remove what is not ours, nor say of other bytes that they are good."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry, fingerprint
from sidecars.warcopier.target import manifest
from tests.support import wait_until
from tests.warcopier.support import (
    MANIFEST,
    PRUNE,
    SHOP,
    UNPACK,
    Copier,
    deployed,
    entries,
    published,
    refused,
    sha256,
    tree_digest,
    war,
)
from tests.warcopier.watching import SOON, Watch

GOOD, EVIL = war("good"), war("evil")
REQUIRE = {"WARCOPIER_REQUIRE_SHA256": "true"}
CHECK = "war 100000 2147483648 200"
"""The check that the default settings make, as the manifest names it."""


def plant(copier: Copier, digests: dict[str, str], check: str = CHECK) -> None:
    """Write the manifest that a run would write that had published these artifacts, with these digests."""
    known = {
        name: ManifestEntry(digest, check, fingerprint((copier.target / name).lstat()))
        for name, digest in digests.items()
    }
    (copier.target / MANIFEST).write_bytes(b"".join(manifest.render(known)))
    (copier.target / MANIFEST).chmod(0o644)


def expect(copier: Copier, data: bytes) -> None:
    (copier.source / "SHA256SUMS").write_text(f"{sha256(data)}  shop.war\n")


# -- digests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, REQUIRE], ids=["no digest expected", "digest required"])
def test_an_evil_war_of_equal_size_is_replaced_whatever_the_manifest_says_of_it(
    copier: Copier, how: dict[str, str]
) -> None:
    assert len(GOOD) == len(EVIL)
    copier.offer(shop=GOOD)
    if how:
        expect(copier, GOOD)
    (copier.target / "shop.war").write_bytes(EVIL)
    plant(copier, {"shop.war": sha256(GOOD)})
    outcome = published(copier.run(**how), "1 published")
    assert outcome.logs[-1]["sha256"] == f"shop.war sha256:{sha256(GOOD)}"
    assert deployed(copier.target) == {"shop.war": sha256(GOOD)}


def evil_directory(copier: Copier) -> None:
    """Publish the good one, and exchange a file in it, as only a neighbour with our uid can."""
    copier.offer(shop=GOOD)
    published(copier.run(**UNPACK))
    (copier.target / "shop" / "index.html").write_text("evil")


def test_an_evil_directory_is_replaced_if_a_digest_is_expected(copier: Copier) -> None:
    evil_directory(copier)
    expect(copier, GOOD)
    outcome = published(copier.run(**UNPACK, **REQUIRE), "1 published")
    assert outcome.warnings == ["it differs from the archive: it is replaced"]
    assert [line["first"] for line in outcome.logs if line["level"] == "warning"] == ["index.html"]
    assert deployed(copier.target) == {"shop": tree_digest(entries(GOOD))}


def test_an_evil_directory_is_never_said_to_have_the_digest_of_the_archive(copier: Copier) -> None:
    evil_directory(copier)
    outcome = published(copier.run(**UNPACK), "nothing to do: 1 unchanged")
    assert outcome.warnings == ["it differs from the archive, and stays"]
    assert outcome.logs[-1]["sha256"] == ""


@pytest.mark.parametrize("change", ["missing", "longer", "shorter", "link", "directory"])
def test_whatever_is_changed_in_a_directory_it_differs(copier: Copier, change: str) -> None:
    copier.offer(shop=GOOD)
    expect(copier, GOOD)
    published(copier.run(**UNPACK))
    page = copier.target / "shop" / "index.html"
    text = page.read_text()
    page.unlink()
    if change == "longer":
        page.write_text(text + "x")
    elif change == "shorter":
        page.write_text(text[:-1])
    elif change == "link":
        (copier.target.parent / "same").write_text(text)
        page.symlink_to(copier.target.parent / "same")
    elif change == "directory":
        page.mkdir()
    published(copier.run(**UNPACK), "1 published")
    assert deployed(copier.target) == {"shop": tree_digest(entries(GOOD))}


def test_a_war_that_stays_in_any_case_is_told_with_its_own_digest(copier: Copier) -> None:
    copier.offer(shop=GOOD)
    (copier.target / "shop.war").write_bytes(EVIL)
    plant(copier, {"shop.war": sha256(GOOD)})
    outcome = published(copier.run(WARCOPIER_OVERWRITE="never"), "nothing to do")
    assert outcome.logs[-1]["sha256"] == f"shop.war sha256:{sha256(EVIL)}"


def test_a_hole_of_terabytes_that_stays_in_any_case_is_not_read(copier: Copier) -> None:
    copier.offer(shop=GOOD)
    (copier.target / "shop.war").touch()
    os.truncate(copier.target / "shop.war", 4 << 40)
    plant(copier, {"shop.war": sha256(GOOD)})
    outcome = published(copier.run(WARCOPIER_OVERWRITE="never"), "nothing to do")
    assert outcome.logs[-1]["sha256"] == ""


def test_what_takes_the_place_of_a_war_as_it_is_published_is_told_and_ends_with_74(copier: Copier) -> None:
    copier.offer(shop=GOOD)
    exchanging = (
        "import os\n"
        "rename = os.rename\n"
        "def replaced(old, new, *, src_dir_fd, dst_dir_fd):\n"
        "    if str(new) == 'shop.war':\n"
        "        os.unlink(old, dir_fd=src_dir_fd)\n"
        "        os.symlink('elsewhere', old, dir_fd=src_dir_fd)\n"
        "    rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)\n"
        "os.rename = replaced\n"
    )
    refused(copier.run_altered(exchanging), 74, "shop.war: something else took its place as it was published")


def test_a_restart_with_a_broken_source_is_not_ready_with_a_war_that_has_not_the_digest(
    copier: Copier, watch: Watch
) -> None:
    copier.offer(shop=b"<html>404</html>")
    expect(copier, GOOD)
    (copier.target / "shop.war").write_bytes(EVIL)
    plant(copier, {"shop.war": sha256(EVIL)})
    assert watch(**SOON, **REQUIRE).program.wait() == 65


def test_a_restart_with_a_broken_source_is_ready_with_a_war_that_has_the_digest(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=GOOD)
    expect(copier, GOOD)
    published(copier.run(**REQUIRE))
    copier.offer(shop=b"<html>404</html>")
    watcher = watch(**SOON, **REQUIRE)
    watcher.wait_ready()
    wait_until(lambda: watcher.get("/status").json()["last_failure"], "the failure")
    assert watcher.get("/status").json()["artifacts"] == {"shop.war": sha256(GOOD)}


# -- removal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [PRUNE, PRUNE | UNPACK], ids=["WAR", "UNPACK"])
def test_a_directory_without_a_tracker_is_not_removed(copier: Copier, how: dict[str, str]) -> None:
    (copier.target / "data").mkdir()
    (copier.target / "data" / "precious").write_text("precious")
    plant(copier, {"data": sha256(GOOD)})
    copier.offer(shop=GOOD)
    assert "it was changed since: it is not removed" in published(copier.run(**how)).warnings[0]
    assert (copier.target / "data" / "precious").read_text() == "precious"


def test_a_directory_that_only_the_manifest_knows_is_not_replaced_by_the_war_of_its_name(copier: Copier) -> None:
    (copier.target / "shop").mkdir()
    (copier.target / "shop" / "precious").write_text("precious")
    plant(copier, {"shop": sha256(GOOD)})
    copier.offer(shop=GOOD)
    published(copier.run(), "1 published")
    assert (copier.target / "shop" / "precious").read_text() == "precious"


@pytest.mark.parametrize("mode", [0o644, 0o666], ids=["of another user", "that others may write"])
def test_a_manifest_of_another_user_or_that_others_may_write_is_not_read(copier: Copier, mode: int) -> None:
    copier.offer(shop=SHOP, old=GOOD)
    published(copier.run())
    (copier.source / "old.war").unlink()
    (copier.target / MANIFEST).chmod(mode)
    other = "import os; os.geteuid = lambda uid=os.geteuid(): uid + 1\n"
    # The lock file shows which user the file system makes of us: here it is said to be another one.
    other += "import sidecars.warcopier.target.staging_area as a; a.StagingArea.is_own_user = lambda _, user: False\n"
    outcome = copier.run_altered(other if mode == 0o644 else "", **PRUNE)
    assert "the manifest is not valid: everything is read again" in published(outcome).warnings
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


@pytest.mark.parametrize("name", ["META-INF", "web-inf", "a\\b", "x" * 256, ".war", "a##", "a#..#b"])
def test_a_manifest_with_a_name_that_no_artifact_has_is_not_read(copier: Copier, name: str) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    good = json.loads((copier.target / MANIFEST).read_text())["artifacts"]["shop.war"]
    entry = ManifestEntry(good["sha256"], good["check"], Fingerprint(**good["file"]))
    (copier.target / MANIFEST).write_bytes(b"".join(manifest.render({name: entry})))
    warnings = published(copier.run(**PRUNE)).warnings
    assert warnings == ([] if name == "a##" else ["the manifest is not valid: everything is read again"])


def test_a_mount_below_a_directory_is_not_emptied_with_it(copier: Copier, tmp_path: Path) -> None:
    """The place of a mount cannot be renamed, and a directory is renamed before it is entered."""
    copier.offer(shop=GOOD, old=GOOD)
    published(copier.run(**UNPACK))
    (copier.source / "old.war").unlink()
    volume, mount = tmp_path / "volume", copier.target / "old" / "mount"
    volume.mkdir()
    mount.mkdir()
    (volume / "precious").write_text("precious")
    mounting: Any = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "user, group = os.geteuid(), os.getegid()\n"
        "flags = 0x00020000 if user == 0 else 0x10020000\n"
        "assert libc.unshare(flags) == 0, os.strerror(ctypes.get_errno())\n"
        "if user:\n"
        "    open('/proc/self/setgroups', 'w').write('deny')\n"
        "    open('/proc/self/uid_map', 'w').write(f'{user} {user} 1')\n"
        "    open('/proc/self/gid_map', 'w').write(f'{group} {group} 1')\n"
        "assert libc.mount(b'none', b'/', None, 1 << 14 | 1 << 18, None) == 0\n"
        f"assert libc.mount({os.fsencode(volume)!r}, {os.fsencode(mount)!r}, None, 4096, None) == 0\n"
    )
    outcome = published(copier.run_altered(mounting, **UNPACK, **PRUNE))
    assert "cannot be removed; a later run tries again" in outcome.warnings
    assert (volume / "precious").read_text() == "precious"
    published(copier.run(**UNPACK, **PRUNE))
    assert not (copier.target / "META-INF").exists(), "without the mount it is removed"
