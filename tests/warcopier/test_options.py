"""Every setting that changes what a run does, over the real program."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.warcopier.support import (
    RECORD,
    TRACKER,
    Copier,
    Outcome,
    deployed,
    entries,
    leftovers,
    sha256,
    tree_digest,
    war,
)
from tests.warcopier.test_archive import packed

SHOP, OTHER, NEW = war("shop"), war("other"), war("new")
SECOND = 1_000_000_000


def refused(outcome: Outcome, code: int, *said: str) -> None:
    assert outcome.code == code, outcome.stderr
    for part in said:
        assert part in outcome.last


def published(outcome: Outcome, last: str = "") -> Outcome:
    assert outcome.code == 0, outcome.stderr
    assert last in outcome.last
    return outcome


# -- CONTEXT_PATH and VERSION -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "version", "name"),
    [
        ("/", "", "ROOT.war"),
        ("/shop/admin", "", "shop#admin.war"),
        ("", "0042", "app##0042.war"),
        ("/", "2026.01.31", "ROOT##2026.01.31.war"),
        ("/shop/admin", "7", "shop#admin##7.war"),
    ],
)
def test_a_war_is_published_where_and_as_what_it_is_to_be_served(
    copier: Copier, path: str, version: str, name: str
) -> None:
    copier.offer(app=SHOP)
    published(copier.run(WARCOPIER_CONTEXT_PATH=path, WARCOPIER_VERSION=version))
    assert deployed(copier.target) == {name: sha256(SHOP)}


def test_several_wars_may_have_one_version_but_not_one_context_path(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    published(copier.run(WARCOPIER_VERSION="3"))
    assert sorted(deployed(copier.target)) == ["ROOT##3.war", "shop##3.war"]
    refused(copier.run(WARCOPIER_CONTEXT_PATH="/x"), 78, "WARCOPIER_CONTEXT_PATH=/x is for one WAR", "has 2")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CONTEXT_PATH", "shop"),
        ("CONTEXT_PATH", "/a/../b"),
        ("VERSION", "1/2"),
        ("SHA256", "abc"),
        ("MODE", "999"),
        ("MODE", "0044"),
        ("MODE", "4755"),
        ("OWNER", "root:root"),
        ("OWNER", "1"),
        ("OVERWRITE", "yes"),
        ("RESERVE", "-1"),
        ("WATCH_INTERVAL", "5"),
    ],
)
def test_a_value_that_cannot_be_is_told_before_anything_is_touched(copier: Copier, variable: str, value: str) -> None:
    copier.offer(shop=SHOP)
    refused(copier.run(**{f"WARCOPIER_{variable}": value}), 78, f"WARCOPIER_{variable}={value}: expected")
    assert copier.names() == []


@pytest.mark.parametrize(
    ("together", "said"),
    [
        ({"UNPACK": "true", "VALIDATE": "none"}, "only what passes war is unpacked"),
        ({"UNPACK": "true", "DIGEST": "false"}, "WARCOPIER_UNPACK=true and WARCOPIER_DIGEST=false"),
        ({"REQUIRE_SHA256": "true", "DIGEST": "false"}, "WARCOPIER_REQUIRE_SHA256=true and WARCOPIER_DIGEST=false"),
    ],
)
def test_settings_that_do_not_fit_together_are_told(copier: Copier, together: dict[str, str], said: str) -> None:
    copier.offer(shop=SHOP)
    refused(copier.run(**{f"WARCOPIER_{name}": value for name, value in together.items()}), 78, said)


@pytest.mark.parametrize(("there", "version", "older"), [("2", "10", True), ("10", "2", False), ("09", "10", False)])
def test_a_version_that_tomcat_would_sort_before_one_that_is_there_is_refused(
    copier: Copier,
    there: str,
    version: str,
    older: bool,  # noqa: FBT001 - a table
) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(WARCOPIER_VERSION=there))
    outcome = copier.run(WARCOPIER_VERSION=version)
    if older:
        refused(outcome, 78, f"WARCOPIER_VERSION={version} would be an older version than {there}", "ALLOW_OLDER=true")
        assert list(deployed(copier.target)) == [f"shop##{there}.war"]
        published(copier.run(WARCOPIER_VERSION=version, WARCOPIER_ALLOW_OLDER="true"))
    else:
        published(outcome)
    assert sorted(deployed(copier.target)) == sorted([f"shop##{there}.war", f"shop##{version}.war"])


def test_the_version_of_a_directory_counts_and_that_of_another_application_does_not(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "other##9.war").write_bytes(OTHER)
    published(copier.run(WARCOPIER_VERSION="1"))
    (copier.target / "shop##5").mkdir()
    refused(copier.run(WARCOPIER_VERSION="2"), 78, "would be an older version than 5")


def test_a_war_without_a_version_would_be_older_than_any(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop##1.war").write_bytes(OTHER)
    refused(copier.run(), 65, "shop.war: it would be an older version than 1", "ALLOW_OLDER")


def test_two_versions_in_the_source_are_published_together_and_stay(copier: Copier) -> None:
    (copier.source / "shop##1.war").write_bytes(SHOP)
    (copier.source / "shop##2.war").write_bytes(NEW)
    published(copier.run(), "2 published")
    published(copier.run(), "nothing to do: 2 unchanged")


def test_an_old_version_that_tomcat_has_removed_is_not_put_back(copier: Copier) -> None:
    (copier.source / "shop##1.war").write_bytes(SHOP)
    (copier.source / "shop##2.war").write_bytes(NEW)
    published(copier.run())
    (copier.target / "shop##1.war").unlink()  # undeployOldVersions
    published(copier.run(), "nothing to do: 1 unchanged")
    assert list(deployed(copier.target)) == ["shop##2.war"]


# -- digests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 2_000_000])
def test_a_digest_that_is_expected_is_demanded(copier: Copier, size: int) -> None:
    data = war(size=size)
    copier.offer(shop=data)
    wrong = sha256(b"something else")
    refused(copier.run(WARCOPIER_SHA256=wrong), 65, f"its SHA-256 is {sha256(data)}, and {wrong} was expected")
    assert copier.names() == []
    published(copier.run(WARCOPIER_SHA256=sha256(data).upper()))
    refused(copier.run(WARCOPIER_SHA256=wrong), 65, "was expected")


def test_one_digest_is_for_one_war(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    refused(copier.run(WARCOPIER_SHA256=sha256(SHOP)), 78, "WARCOPIER_SHA256", "is for one WAR")


def test_a_file_of_digests_beside_the_source_is_heeded(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    sums = copier.source / "SHA256SUMS"
    sums.write_text(f"{sha256(SHOP)}  shop.war\n{sha256(SHOP)}  ROOT.war\n")
    refused(copier.run(), 65, f"{copier.source}/ROOT.war: its SHA-256 is {sha256(OTHER)}")
    assert copier.names() == []
    sums.write_text(f"{sha256(SHOP)}  shop.war\n{sha256(OTHER)}  ROOT.war\n")
    published(copier.run(WARCOPIER_REQUIRE_SHA256="true"), "2 published")


def test_a_war_without_a_digest_to_check_is_refused_where_one_is_required(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    told = {"WARCOPIER_REQUIRE_SHA256": "true"}
    refused(copier.run(**told), 65, "WARCOPIER_REQUIRE_SHA256=true", f"{copier.source}/SHA256SUMS")
    (copier.source / "SHA256SUMS").write_text(f"{sha256(SHOP)}  another.war\n")
    refused(copier.run(WARCOPIER_REQUIRE_SHA256="true"), 65, "which digest it should have")
    published(copier.run())


@pytest.mark.parametrize(
    ("text", "said"),
    [("garbage\n", "line 1 is not"), ("#" * (1 << 21), "more than 1048576 bytes")],
    ids=["text", "huge"],
)
def test_a_file_of_digests_that_is_none_is_refused(copier: Copier, text: str, said: str) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "SHA256SUMS").write_text(text)
    refused(copier.run(), 65, f"{copier.source}/SHA256SUMS: ", said)


def test_the_digest_in_the_file_is_that_of_the_source_whatever_name_it_gets(copier: Copier) -> None:
    copier.offer(app=SHOP)
    (copier.source / "SHA256SUMS").write_text(f"{sha256(SHOP)}  app.war\n")
    published(copier.run(WARCOPIER_CONTEXT_PATH="/", WARCOPIER_REQUIRE_SHA256="true"))


@pytest.mark.parametrize("size", [0, 2_000_000])
def test_without_digests_bytes_are_compared(copier: Copier, size: int) -> None:
    told, one, two = {"WARCOPIER_DIGEST": "false"}, war("one", size=size), war("two", size=size)
    copier.offer(shop=one)
    published(copier.run(**told), "1 published")
    assert published(copier.run(**told), "nothing to do").logs[-1]["sha256"] == ""
    copier.offer(shop=two)
    published(copier.run(**told), "1 published")
    assert deployed(copier.target) == {"shop.war": sha256(two)}
    refused(copier.run(**told, WARCOPIER_SHA256=sha256(b"")), 65, "was expected")
    assert published(copier.run(), "nothing to do").logs[-1]["sha256"] == f"shop.war sha256:{sha256(two)}"


# -- OVERWRITE, MODE, OWNER, RESERVE ------------------------------------------------------------------------------


def test_always_gives_an_identical_war_a_time_that_tomcat_does_not_know(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    before = (copier.target / "shop.war").stat()
    published(copier.run(WARCOPIER_OVERWRITE="always"), "1 published")
    assert (copier.target / "shop.war").stat().st_mtime_ns // SECOND != before.st_mtime_ns // SECOND


def test_never_leaves_what_is_there_and_publishes_what_is_not(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    copier.offer(shop=NEW, ROOT=OTHER)
    outcome = published(copier.run(WARCOPIER_OVERWRITE="never"), "1 published, 1 unchanged")
    assert deployed(copier.target) == {"shop.war": sha256(SHOP), "ROOT.war": sha256(OTHER)}
    assert f"shop.war sha256:{sha256(SHOP)}" in outcome.logs[-1]["sha256"]
    published(copier.run(), "1 published, 1 unchanged")


@pytest.mark.parametrize("size", [0, 2_000_000])
def test_permissions_are_those_asked_for(copier: Copier, size: int) -> None:
    copier.offer(shop=war(size=size))
    published(copier.run(WARCOPIER_MODE="0600"))
    assert (copier.target / "shop.war").stat().st_mode == 0o100600


def test_other_permissions_of_an_identical_war_are_set_without_a_redeployment(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    before = (copier.target / "shop.war").stat()
    published(copier.run(WARCOPIER_MODE="0640"), "nothing to do")
    after = (copier.target / "shop.war").stat()
    assert after.st_mode == 0o100640
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    published(copier.run(WARCOPIER_MODE="0640"), "nothing to do")


@pytest.mark.parametrize("unpack", ["false", "true"])
def test_the_owner_is_the_one_asked_for_where_that_is_allowed(copier: Copier, unpack: str) -> None:
    copier.offer(shop=SHOP)
    owner = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    published(copier.run(WARCOPIER_OWNER=f"{owner[0]}:{owner[1]}", WARCOPIER_UNPACK=unpack))
    places = [copier.target / "shop", *(copier.target / "shop").rglob("*")]
    for place in places if unpack == "true" else [copier.target / "shop.war"]:
        assert (place.stat().st_uid, place.stat().st_gid) == owner, place


def test_an_owner_that_may_not_be_set_is_told(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    script = (
        "import os\n"
        "def refuse(*_): raise PermissionError(1, 'Operation not permitted')\n"
        "os.fchown = refuse\n"
        "import sys; from chassis import commandline; from sidecars.warcopier import app\n"
        "from sidecars.warcopier.settings import Settings; sys.exit(commandline.job(Settings, app.run))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=copier.environ({"WARCOPIER_OWNER": "1:1"}), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 74
    assert "WARCOPIER_OWNER=1:1: user" in json.loads(ended.stderr.splitlines()[-1])["msg"]
    assert copier.names() == []


def test_room_that_is_to_be_left_is_left(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    refused(
        copier.run(WARCOPIER_RESERVE="1000TiB"), 74, "it is too full", f"{1000 << 40} to be left (WARCOPIER_RESERVE)"
    )
    assert copier.names() == []


# -- PRUNE --------------------------------------------------------------------------------------------------------

PRUNE = {"WARCOPIER_PRUNE": "true"}
UNPACK = {"WARCOPIER_UNPACK": "true"}


@pytest.mark.parametrize("how", [{}, UNPACK], ids=["archives", "directories"])
def test_only_what_an_earlier_run_published_and_the_source_no_longer_has_is_removed(
    copier: Copier, how: dict[str, str]
) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run(**how))
    (copier.target / "theirs.war").write_bytes(NEW)
    (copier.target / "mine").mkdir()
    (copier.source / "old.war").unlink()
    outcome = published(copier.run(**how, **PRUNE), "0 published, 1 unchanged, 1 pruned")
    assert [line["file"] for line in outcome.logs if line["msg"].startswith("removed")] == ["old" if how else "old.war"]
    assert sorted(copier.names()) == sorted([RECORD, "mine", "theirs.war", "shop" if how else "shop.war"])
    published(copier.run(**how, **PRUNE), "nothing to do: 1 unchanged")


def test_what_somebody_has_changed_since_is_not_removed(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.target / "old.war").write_bytes(NEW)
    (copier.source / "old.war").unlink()
    assert "somebody has changed it" in published(copier.run(**PRUNE)).warnings[0]
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]
    assert published(copier.run(**PRUNE)).warnings == []


def test_what_was_only_touched_since_is_removed(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.target / "old.war").chmod(0o600)
    (copier.source / "old.war").unlink()
    published(copier.run(**PRUNE), "1 pruned")


@pytest.mark.parametrize("raw", [None, b"garbage"])
def test_without_a_record_nothing_is_removed(copier: Copier, raw: bytes | None) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.source / "old.war").unlink()
    (copier.target / RECORD).unlink()
    if raw:
        (copier.target / RECORD).write_bytes(raw)
    published(copier.run(**PRUNE))
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


def test_a_source_that_is_empty_prunes_nothing(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    (copier.source / "shop.war").unlink()
    refused(copier.run(**PRUNE), 78, "there is no *.war there")
    assert list(deployed(copier.target)) == ["shop.war"]


def test_nothing_is_removed_when_what_is_new_cannot_be_published(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    published(copier.run())
    (copier.source / "old.war").unlink()
    copier.offer(broken=b"<html>")
    refused(copier.run(**PRUNE), 65, "is not a zip")
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


# -- UNPACK -------------------------------------------------------------------------------------------------------


def test_the_directory_is_published_instead_of_the_archive(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    outcome = published(copier.run(**UNPACK), "2 published")
    assert deployed(copier.target) == {"shop": tree_digest(entries(SHOP)), "ROOT": tree_digest(entries(OTHER))}
    assert (copier.target / "shop" / TRACKER).is_file()
    assert f"shop sha256:{sha256(SHOP)}" in outcome.logs[-1]["sha256"]
    assert copier.names() == [RECORD, "ROOT", "shop"]
    assert (copier.target / "shop").stat().st_mode == 0o040755
    assert (copier.target / "shop" / "WEB-INF" / "web.xml").stat().st_mode == 0o100644


def test_an_unchanged_directory_is_not_touched_even_where_the_app_has_written_into_it(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    (copier.target / "shop" / "upload.txt").write_text("a visitor's")
    before = (copier.target / "shop").stat()
    published(copier.run(**UNPACK), "nothing to do: 1 unchanged")
    assert (copier.target / "shop").stat() == before


def test_another_limit_is_checked_without_a_redeployment(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    before = (copier.target / "shop").stat()
    published(copier.run(**UNPACK, WARCOPIER_MAX_ENTRIES="10"), "nothing to do")
    refused(copier.run(**UNPACK, WARCOPIER_MAX_ENTRIES="1"), 65, "WARCOPIER_MAX_ENTRIES=1")
    assert (copier.target / "shop").stat() == before


def test_a_changed_one_takes_the_place_of_the_old_one_whole(copier: Copier) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"old", "only-old": b""}))
    published(copier.run(**UNPACK))
    before = (copier.target / "shop" / "WEB-INF" / "web.xml").stat().st_mtime_ns // SECOND
    new = {"WEB-INF/web.xml": b"new", "only-new": b""}
    copier.offer(shop=packed(new))
    published(copier.run(**UNPACK), "1 published")
    assert deployed(copier.target) == {"shop": tree_digest(new)}
    assert leftovers(copier.target) == []
    after = (copier.target / "shop" / "WEB-INF" / "web.xml").stat().st_mtime_ns // SECOND
    assert after != before, "Tomcat reloads when the time of WEB-INF/web.xml differs"


def test_where_two_directories_cannot_change_places_two_renames_do_it(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run(**UNPACK))
    copier.offer(shop=NEW)
    script = (
        "import errno, sys; from chassis import commandline; from sidecars.warcopier import app, trees\n"
        "from sidecars.warcopier.settings import Settings\n"
        "def cannot(*_): raise OSError(errno.EINVAL, 'Invalid argument')\n"
        "trees.exchange = cannot; sys.exit(commandline.job(Settings, app.run))"
    )
    subprocess.run([sys.executable, "-c", script], env=copier.environ(UNPACK), check=True, stderr=subprocess.DEVNULL)
    assert deployed(copier.target) == {"shop": tree_digest(entries(NEW))}
    assert leftovers(copier.target) == []


def test_a_directory_that_tomcat_unpacked_is_replaced_and_one_that_nobody_knows_is_not(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop").mkdir()
    (copier.target / "shop" / "precious").touch()
    refused(copier.run(**UNPACK), 74, f"{copier.target}/shop: neither Tomcat nor an earlier run has unpacked it")
    assert (copier.target / "shop" / "precious").exists()
    (copier.target / "shop" / "META-INF").mkdir()
    (copier.target / "shop" / TRACKER).touch()
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(entries(SHOP))}


def test_from_archives_to_directories_and_back(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    published(copier.run())
    archive_time = (copier.target / "shop.war").stat().st_mtime_ns // SECOND
    published(copier.run(**UNPACK), "1 published")
    assert list(deployed(copier.target)) == ["shop"]
    assert (copier.target / "shop" / TRACKER).stat().st_mtime_ns // SECOND != archive_time
    published(copier.run(), "1 published")
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    assert copier.names() == [RECORD, "shop.war"]


def test_a_war_of_somebody_else_beside_the_directory_is_told(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop.war").write_bytes(OTHER)
    refused(copier.run(**UNPACK), 74, f"{copier.target}/shop.war: Tomcat would unpack that one")


@pytest.mark.parametrize(
    "name",
    ["../evil", "/evil", "a/../../evil", "a\\b", "C:\\evil"],
    ids=["up", "absolute", "up later", "backslash", "drive"],
)
def test_an_archive_that_would_write_elsewhere_is_refused_and_nothing_is_left(copier: Copier, name: str) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"", name: b"x"}))
    refused(copier.run(**UNPACK), 65, "shop.war: has an entry with", "nothing was published")
    assert copier.names() == []
    assert not (copier.target.parent / "evil").exists()


def test_a_link_in_an_archive_is_refused(copier: Copier) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    copier.offer(shop=buffer.getvalue())
    refused(copier.run(**UNPACK), 65, "neither file nor directory")
    assert copier.names() == []


def test_a_bomb_is_refused_and_nothing_of_it_is_left(copier: Copier) -> None:
    copier.offer(shop=packed({"zeros": bytes(20_000_000)}))
    refused(copier.run(**UNPACK), 65, "WARCOPIER_MAX_RATIO=200")
    assert copier.names() == []


def test_a_thousand_entries_are_unpacked(copier: Copier) -> None:
    files = {f"WEB-INF/classes/{number % 37}/{number}.class": str(number).encode() for number in range(1000)}
    copier.offer(shop=packed(files))
    published(copier.run(**UNPACK))
    assert deployed(copier.target) == {"shop": tree_digest(files)}


# -- how it talks -------------------------------------------------------------------------------------------------


SLOWLY = [sys.executable, "-m", "tests.warcopier.slowly"]


def large(copier: Copier) -> None:
    """A source that is a hole: it takes no room, and minutes to be copied slowly."""
    big = copier.source / "shop.war"
    big.touch()
    os.truncate(big, 1 << 30)


def test_a_copy_that_takes_long_is_told_in_a_line_now_and_then(copier: Copier) -> None:
    large(copier)
    running = subprocess.Popen(
        SLOWLY, env=copier.environ({"WARCOPIER_VALIDATE": "none"}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stderr
        json.loads(running.stderr.readline())
        line = json.loads(running.stderr.readline())
    finally:
        running.terminate()
        running.communicate()
    assert line["msg"] == "working"
    assert 0 <= line["percent"] < 100
    assert line["megabytes_per_second"] >= 0


def test_on_a_terminal_it_is_a_bar_that_is_gone_when_the_next_line_comes(copier: Copier) -> None:
    large(copier)
    terminal, ours = pty.openpty()
    running = subprocess.Popen(
        SLOWLY, env=copier.environ({"WARCOPIER_VALIDATE": "none"}), stderr=ours,
    )  # fmt: skip
    os.close(ours)
    seen = b""

    def said(what: bytes) -> bool:
        nonlocal seen
        seen += os.read(terminal, 1 << 16)
        return what in seen

    try:
        wait_until(lambda: said(b"%  "), "a bar")
        running.terminate()
        wait_until(lambda: said(b"stopped by SIGTERM"), "the last line")
    finally:
        running.kill()
        running.wait()
        os.close(terminal)
    assert b"\r\x1b[K[" in seen
    assert seen.split(b"\r\x1b[K")[-1].count(b"stopped by SIGTERM") == 1
    assert b"#" not in seen.split(b"\r\x1b[K")[-1]


def test_what_is_quick_says_nothing_of_its_progress(copier: Copier) -> None:
    copier.offer(shop=war(size=3_000_000))
    assert [line["msg"] for line in published(copier.run()).logs] == [
        "starting",
        "published",
        "1 published, 0 unchanged",
    ]


def test_of_very_many_artifacts_the_last_line_names_some_and_counts_the_rest(copier: Copier) -> None:
    copier.offer(**{f"app{number:03}": war(str(number)) for number in range(50)})
    last = published(copier.run(), "50 published").logs[-1]
    assert last["files"] == 50
    assert last["sha256"].count("sha256:") == 20
    assert last["sha256"].endswith("and 30 more")


def test_all_settings_are_shown_by_check(copier: Copier, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "sidecars.warcopier", "--check"],
        env=copier.environ({"WARCOPIER_OWNER": "1:2", "WARCOPIER_MODE": "600", "WARCOPIER_CONTEXT_PATH": "/"}),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "WARCOPIER_OWNER=1:2\n" in shown
    assert "WARCOPIER_MODE=0600\n" in shown
    assert "WARCOPIER_CONTEXT_PATH=/\n" in shown
