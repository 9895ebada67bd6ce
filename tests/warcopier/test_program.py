"""The real program, end to end: what it publishes, what it refuses, and what it says."""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chassis.envdocs import rendered
from sidecars.warcopier.settings import Settings
from tests.support import ROOT, wait_until
from tests.warcopier.support import (
    RECORD,
    Copier,
    Outcome,
    deployed,
    entries,
    leftovers,
    noise,
    sha256,
    tree_digest,
    war,
)

SHOP, OTHER = war("shop"), war("other")
SECOND = 1_000_000_000


def refused(outcome: Outcome, code: int, *said: str) -> None:
    """It ended with that code, and its last line says why in one sentence."""
    assert outcome.code == code, outcome.stderr
    assert outcome.logs[-1]["level"] == "error"
    assert outcome.logs[-1]["exit_code"] == code
    assert "\n" not in outcome.last or code == 78
    for part in said:
        assert part in outcome.last
    assert "traceback" not in outcome.stderr.lower()


# -- publishing ---------------------------------------------------------------------------------------------------


def test_a_war_is_published_whole_readable_by_all_and_with_nothing_beside_it_but_the_record(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    assert copier.run().code == 0
    assert (copier.target / "shop.war").read_bytes() == SHOP
    assert (copier.target / "shop.war").stat().st_mode == 0o100644
    assert copier.names() == [RECORD, "shop.war"]


def test_the_umask_does_not_keep_tomcat_from_reading(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    script = f'umask 077; exec "{sys.executable}" -m sidecars.warcopier'
    subprocess.run(["sh", "-c", script], env=copier.environ({}), check=True, stderr=subprocess.DEVNULL)
    assert (copier.target / "shop.war").stat().st_mode == 0o100644


def test_the_last_line_tells_files_bytes_seconds_and_digests(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    last = copier.run().logs[-1]
    assert last["level"] == "info"
    assert last["msg"] == "2 published, 0 unchanged"
    assert last["files"] == 2
    assert last["bytes"] == len(SHOP) + len(OTHER)
    assert 0 < last["seconds"] < 60
    assert last["sha256"] == f"ROOT.war sha256:{sha256(OTHER)}, shop.war sha256:{sha256(SHOP)}"


def test_the_source_is_not_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    before = (copier.source / "shop.war").stat()
    copier.run()
    after = (copier.source / "shop.war").stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_mode) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_mode,
    )


def test_many_wars_are_published_together(copier: Copier) -> None:
    wars = {f"app{number}": war(str(number)) for number in range(60)}
    copier.offer(**wars)
    assert copier.run().code == 0
    assert deployed(copier.target) == {f"{name}.war": sha256(data) for name, data in wars.items()}


@pytest.mark.parametrize(
    "name",
    [
        "my shop.war",
        "köln#straße.war",
        "shop##2026.01.war",
        "店.war",
        "a'b\"c.war",
        "-rf.war",
        "x\ny.war",
        "a\\\\b.war",
    ],
)
def test_an_unusual_name_is_published_as_it_is_or_refused_on_one_line(copier: Copier, name: str) -> None:
    (copier.source / name).write_bytes(SHOP)
    outcome = copier.run()
    assert len(outcome.stderr.splitlines()) == len(outcome.logs)
    if "\\" in name:
        refused(outcome, 65, "which Tomcat refuses")
    else:
        assert outcome.code == 0, outcome.stderr
        assert list(deployed(copier.target)) == [name]


def test_a_name_that_is_no_text_is_published_as_it_is(copier: Copier) -> None:
    raw = os.fsencode(copier.source) + b"/k\xf6ln.war"
    with open(raw, "wb") as file:  # noqa: PTH123 - a name in bytes
        file.write(SHOP)
    assert copier.run().code == 0
    assert copier.run().last == "nothing to do: 1 unchanged"
    assert b"k\xf6ln.war" in os.listdir(os.fsencode(copier.target))  # noqa: PTH208 - as above


def test_a_suffix_in_capitals_is_published_in_the_form_that_all_of_tomcat_knows(copier: Copier) -> None:
    (copier.source / "Shop.WAR").write_bytes(SHOP)
    assert copier.run().code == 0
    assert list(deployed(copier.target)) == ["Shop.war"]


def test_a_war_without_web_inf_is_published_with_a_warning(copier: Copier) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.html", "hello")
    copier.offer(plain=buffer.getvalue())
    outcome = copier.run()
    assert outcome.code == 0
    assert outcome.warnings == ["it has no WEB-INF: Tomcat will serve it as plain pages"]
    assert copier.run().warnings == []


def test_a_directory_that_hides_the_war_from_tomcat_is_told(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop").mkdir()
    assert copier.run().warnings == ["a directory of that name, not unpacked by Tomcat, hides it"]


def test_a_directory_that_tomcat_unpacked_hides_nothing(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop" / "META-INF").mkdir(parents=True)
    (copier.target / "shop" / "META-INF" / "war-tracker").touch()
    assert copier.run().warnings == []


# -- what is a source ---------------------------------------------------------------------------------------------


def test_a_directory_means_the_wars_in_it_in_any_case_and_nothing_else(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "ROOT.War").write_bytes(OTHER)
    (copier.source / "README.md").write_text("hello")
    (copier.source / "._shop.war").write_bytes(b"what macOS leaves")
    (copier.source / "sub").mkdir()
    (copier.source / "sub" / "deep.war").write_bytes(SHOP)
    assert copier.run().code == 0
    assert sorted(deployed(copier.target)) == ["ROOT.war", "shop.war"]


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("{}/a.war", ["a.war"]),
        ("{0}/a.war,{0}/b.war", ["a.war", "b.war"]),
        ("{0}/a.war , {0}/more", ["a.war", "c.war"]),
        ("{}/?.war", ["a.war", "b.war"]),
        ("{}/*", ["a.war", "b.war", "c.war"]),
        ("{}/**/*.war", ["a.war", "b.war", "c.war"]),
        ("{}/[bc].war", ["b.war"]),
        ("{0}/a.war,{0}", ["a.war", "b.war"]),
        ("{0}/./a.war,{0}/a.war", ["a.war"]),
        ("artifacts/a.war", ["a.war"]),
        ("{}/", ["a.war", "b.war"]),
        ("{}/lin[k].war", ["lin[k].war"]),
    ],
)
def test_the_source_may_be_files_directories_and_globs(copier: Copier, setting: str, names: list[str]) -> None:
    copier.offer(a=SHOP, b=OTHER)
    (copier.source / "more").mkdir()
    (copier.source / "more" / "c.war").write_bytes(SHOP)
    if "lin[k]" in setting:
        (copier.source / "lin[k].war").write_bytes(SHOP)
    assert copier.run(WARCOPIER_SOURCE=setting.format(copier.source)).code == 0
    assert sorted(deployed(copier.target)) == names


def test_the_links_of_a_config_map_mount_are_followed(copier: Copier) -> None:
    (copier.source / "..2026_01").mkdir()
    (copier.source / "..2026_01" / "shop.war").write_bytes(SHOP)
    (copier.source / "..data").symlink_to("..2026_01")
    (copier.source / "shop.war").symlink_to("..data/shop.war")
    assert copier.run().code == 0
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    (copier.source / "..2026_02").mkdir()
    (copier.source / "..2026_02" / "shop.war").write_bytes(OTHER)
    (copier.source / "..data").unlink()
    (copier.source / "..data").symlink_to("..2026_02")
    assert copier.run().code == 0
    assert deployed(copier.target) == {"shop.war": sha256(OTHER)}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("{}/nowhere", "/nowhere: it does not exist; in {} there is README"),
        ("{}/nowhere/shop.war", "/nowhere/shop.war: it does not exist; in {} there is README"),
        ("{}", "there is no *.war there; in {} there is README"),
        ("{}/*.war", "there is no *.war there; in {} there is README"),
        ("{}/*", "there is no *.war there"),
        ("{}/empty", "there is no *.war there; {}/empty is empty"),
    ],
)
def test_a_source_without_a_war_is_a_mistake_in_the_setting(copier: Copier, setting: str, said: str) -> None:
    (copier.source / "README").touch()
    (copier.source / "empty").mkdir()
    setting = setting.format(copier.source)
    refused(copier.run(WARCOPIER_SOURCE=setting), 78, f"WARCOPIER_SOURCE={setting}", said.format(copier.source))
    assert copier.names() == []


def test_one_part_without_a_war_is_a_mistake_even_beside_others_that_have_some(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    refused(copier.run(WARCOPIER_SOURCE=f"{copier.source},{copier.source}/x*.war"), 78, "no *.war there")
    assert copier.names() == []


def test_two_sources_with_one_name_are_refused(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    more = copier.source / "more"
    more.mkdir()
    (more / "shop.war").write_bytes(SHOP)
    said = f"{copier.source}/shop.war and {more}/shop.war would both be published as shop.war"
    refused(copier.run(WARCOPIER_SOURCE=f"{copier.source},{more}"), 78, said)
    assert copier.names() == []


def test_two_sources_that_differ_in_the_case_of_the_suffix_are_refused(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "shop.WAR").write_bytes(OTHER)
    refused(copier.run(), 78, "would both be published as shop.war")


@pytest.mark.parametrize("how", ["same", "link", "file"])
def test_a_source_that_is_the_target_is_refused(copier: Copier, how: str) -> None:
    (copier.target / "shop.war").write_bytes(SHOP)
    source = copier.target
    if how == "link":
        source = copier.source / "link"
        source.symlink_to(copier.target)
    elif how == "file":
        source = copier.target / "shop.war"
    refused(copier.run(WARCOPIER_SOURCE=str(source)), 78, "are the same place")
    assert copier.names() == ["shop.war"]


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory", "device"])
def test_what_is_no_file_is_refused_and_never_hangs(copier: Copier, kind: str) -> None:
    place = copier.source / "shop.war"
    setting = str(copier.source)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    elif kind == "directory":
        place.mkdir()
    else:
        setting = "/dev/zero"
    said = {"pipe": "a named pipe", "socket": "a socket", "directory": "a directory", "device": "a device"}[kind]
    refused(copier.run(WARCOPIER_SOURCE=setting), 65, said, "nothing was published")
    assert copier.names() == []


def test_a_file_that_is_named_but_no_war_is_refused(copier: Copier) -> None:
    (copier.source / "shop.zip").write_bytes(SHOP)
    refused(copier.run(WARCOPIER_SOURCE=f"{copier.source}/shop.zip"), 65, "does not end in .war")


def test_a_broken_link_is_a_source_that_cannot_be_read(copier: Copier) -> None:
    (copier.source / "shop.war").symlink_to("gone")
    refused(copier.run(), 74, str(copier.source), "cannot be read", "No such file")


def test_links_in_a_circle_are_a_source_that_cannot_be_read(copier: Copier) -> None:
    (copier.source / "shop.war").symlink_to("shop.war")
    refused(copier.run(), 74, "cannot be read")


# -- running again ------------------------------------------------------------------------------------------------


def everything(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The directory and all in it: inodes and times."""
    return {
        path.name: (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in [folder, *folder.iterdir()]
    }


def test_a_second_run_touches_nothing_and_says_so(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    copier.run()
    before = everything(copier.target)
    again = copier.run()
    assert again.code == 0
    assert again.last == "nothing to do: 2 unchanged"
    assert again.logs[-1]["sha256"] == f"ROOT.war sha256:{sha256(OTHER)}, shop.war sha256:{sha256(SHOP)}"
    assert everything(copier.target) == before


def test_an_identical_war_of_another_time_is_not_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    before = everything(copier.target)
    (copier.source / "shop.war").unlink()
    copier.offer(shop=SHOP)
    os.utime(copier.source / "shop.war", ns=(1, 1))
    assert copier.run().last == "nothing to do: 1 unchanged"
    assert everything(copier.target) == before


def test_an_identical_war_that_somebody_else_put_there_is_not_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.target / "shop.war").write_bytes(SHOP)
    before = everything(copier.target)["shop.war"]
    assert copier.run().last == "nothing to do: 1 unchanged"
    assert everything(copier.target)["shop.war"] == before


def test_an_identical_but_broken_war_that_somebody_else_put_there_is_refused(copier: Copier) -> None:
    copier.offer(shop=SHOP[:-5])
    (copier.target / "shop.war").write_bytes(SHOP[:-5])
    refused(copier.run(), 65, "is cut short")


@pytest.mark.parametrize("mtime", [SECOND, 1_700_000_000 * SECOND + 123_456_789])
def test_a_changed_war_of_the_same_size_and_time_is_noticed_here_and_by_tomcat(copier: Copier, mtime: int) -> None:
    """Reproducible builds stamp every WAR alike."""
    one, other = war("version 1"), war("version 2")
    assert len(one) == len(other)
    for data in (one, other, one):
        before = {path.stat().st_mtime_ns // SECOND for path in copier.target.glob("*.war")}
        copier.offer(shop=data)
        os.utime(copier.source / "shop.war", ns=(mtime, mtime))
        assert copier.run().last == "1 published, 0 unchanged"
        assert deployed(copier.target) == {"shop.war": sha256(data)}
        assert (copier.target / "shop.war").stat().st_mtime_ns // SECOND not in before


def test_the_new_time_differs_also_from_that_of_the_directory_that_tomcat_unpacked(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    tracker = copier.target / "shop" / "META-INF" / "war-tracker"
    tracker.parent.mkdir(parents=True)
    tracker.touch()
    copier.run()
    published = (copier.target / "shop.war").stat().st_mtime_ns
    assert published // SECOND != tracker.stat().st_mtime_ns // SECOND


def test_only_what_changed_is_published_again(copier: Copier) -> None:
    copier.offer(shop=SHOP, ROOT=OTHER)
    copier.run()
    before = everything(copier.target)
    copier.offer(shop=war("a new one"))
    outcome = copier.run()
    assert outcome.last == "1 published, 1 unchanged"
    assert everything(copier.target)["ROOT.war"] == before["ROOT.war"]


def test_what_was_changed_in_the_target_is_published_again(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    place = copier.target / "shop.war"
    times = place.stat()
    with place.open("r+b") as file:
        file.write(b"X")
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert copier.run().last == "1 published, 0 unchanged"
    assert place.read_bytes() == SHOP


def test_what_was_deleted_from_the_target_is_published_again(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    (copier.target / "shop.war").unlink()
    assert copier.run().last == "1 published, 0 unchanged"
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}


@pytest.mark.parametrize("raw", [b"", b"garbage", b'{"version":99}', b"[" * 5000])
def test_a_record_that_is_of_no_use_is_replaced(copier: Copier, raw: bytes) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    good = (copier.target / RECORD).read_bytes()
    (copier.target / RECORD).write_bytes(raw)
    outcome = copier.run()
    assert outcome.last == "nothing to do: 1 unchanged"
    assert outcome.warnings == ["the record of earlier runs is of no use: everything is read again"]
    assert (copier.target / RECORD).read_bytes() == good


def test_a_record_that_lies_about_the_digest_does_not_keep_a_change_away(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.run()
    record = json.loads((copier.target / RECORD).read_text())
    record["artifacts"]["shop.war"]["sha256"] = sha256(b"something else")
    (copier.target / RECORD).write_text(json.dumps(record))
    assert copier.run().last == "1 published, 0 unchanged"
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}


def test_a_stricter_check_is_made_up_for(copier: Copier) -> None:
    copier.offer(shop=war(size=5000))
    assert copier.run(WARCOPIER_VALIDATE="none").code == 0
    refused(copier.run(WARCOPIER_MAX_UNPACKED_SIZE="1KiB"), 65, "WARCOPIER_MAX_UNPACKED_SIZE=1024")
    assert copier.run().last == "nothing to do: 1 unchanged"


def test_what_is_no_longer_in_the_source_stays(copier: Copier) -> None:
    copier.offer(shop=SHOP, old=OTHER)
    copier.run()
    (copier.source / "old.war").unlink()
    assert copier.run().code == 0
    assert sorted(deployed(copier.target)) == ["old.war", "shop.war"]


def test_a_read_only_leftover_of_another_user_is_replaced(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    place = copier.target / "shop.war"
    place.write_bytes(OTHER)
    place.chmod(0)
    if os.geteuid() == 0:
        os.chown(place, 12345, 12345)
    assert run_without_power(copier).code == 0
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}


def test_read_only_directories_of_an_earlier_run_are_replaced_and_removed(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    told = {"WARCOPIER_UNPACK": "true", "WARCOPIER_MODE": "0444"}
    assert run_without_power(copier, **told).code == 0
    for place in (copier.target / "shop").rglob("*"):
        if place.is_dir():
            place.chmod(0o555)
    copier.offer(shop=OTHER)
    outcome = run_without_power(copier, **told)
    assert outcome.code == 0, outcome.stderr
    assert deployed(copier.target) == {"shop": tree_digest(entries(OTHER))}
    assert leftovers(copier.target) == []


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "pipe"])
def test_what_is_no_file_in_the_target_is_replaced_and_never_followed(copier: Copier, kind: str) -> None:
    copier.offer(shop=SHOP)
    elsewhere = copier.source.parent / "elsewhere"
    if kind == "pipe":
        os.mkfifo(copier.target / "shop.war")
    else:
        (copier.target / "shop.war").symlink_to(elsewhere)
    if kind == "link":
        elsewhere.write_bytes(SHOP)
    assert copier.run().code == 0
    assert not (copier.target / "shop.war").is_symlink()
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    assert elsewhere.exists() == (kind == "link")


# -- refusing -----------------------------------------------------------------------------------------------------

BAD = {
    "empty": (b"", "is empty"),
    "a page instead": (b"<html>404 Not Found</html>", "is not a zip"),
    "cut short": (SHOP[:-1], "is cut short"),
    "half": (war(size=100_000)[:50_000], "is cut short"),
    "without entries": (b"PK\5\6" + bytes(18), "without any entry"),
    "damaged": (war(size=5000).replace(noise(5000)[100:110], bytes(10)), "is damaged"),
    "more behind it": (SHOP + b"\n", "end record is missing"),
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD.keys())
def test_a_broken_war_is_refused_and_nothing_at_all_is_published(copier: Copier, data: bytes, said: str) -> None:
    (copier.target / "shop.war").write_bytes(OTHER)
    copier.offer(a=SHOP, shop=data, z=SHOP)
    outcome = copier.run()
    refused(outcome, 65, f"{copier.source}/shop.war: ", said, "; nothing was published")
    assert copier.names() == ["shop.war"]
    assert (copier.target / "shop.war").read_bytes() == OTHER


def test_names_that_lead_out_of_the_application_are_refused_unless_only_a_zip_is_asked_for(copier: Copier) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/cron.d/x", "")
    copier.offer(evil=buffer.getvalue())
    refused(copier.run(), 65, "unsafe name: ../../etc/cron.d/x")
    assert copier.run(WARCOPIER_VALIDATE="zip").code == 0


def test_without_a_check_anything_is_published(copier: Copier) -> None:
    copier.offer(shop=b"no archive at all")
    assert copier.run(WARCOPIER_VALIDATE="none").code == 0
    assert (copier.target / "shop.war").read_bytes() == b"no archive at all"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WARCOPIER_MAX_UNPACKED_SIZE", "1MB"), ("WARCOPIER_MAX_ENTRIES", "1"), ("WARCOPIER_MAX_RATIO", "20")],
)
def test_a_bomb_is_refused_by_each_of_the_limits(copier: Copier, variable: str, value: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("WEB-INF/a", bytes(5_000_000))
        archive.writestr("WEB-INF/b", noise(100_000))
    copier.offer(bomb=buffer.getvalue())
    refused(copier.run(**{variable: value}), 65, f"more than {variable}=")
    assert copier.names() == []
    assert copier.run().code == 0


def test_a_target_that_is_missing_is_named(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    missing = f"{copier.target}/no"
    refused(copier.run(WARCOPIER_TARGET=missing), 74, f"WARCOPIER_TARGET={missing}: there is no such directory")


def test_a_target_that_is_a_file_is_named(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    place = copier.source / "shop.war"
    refused(copier.run(WARCOPIER_TARGET=str(place)), 74, f"WARCOPIER_TARGET={place}: it is not a directory")


def test_a_directory_where_the_war_belongs_is_named_and_left_alone(copier: Copier) -> None:
    copier.offer(a=SHOP, shop=SHOP)
    (copier.target / "shop.war").mkdir()
    refused(copier.run(), 74, f"{copier.target}/shop.war is a directory")
    assert copier.names() == ["shop.war"]


def without_power() -> None:
    """Take from root what lets it read and write everything, before a program starts."""
    if os.geteuid() == 0:
        for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def run_without_power(copier: Copier, **told: str) -> Outcome:
    ended = subprocess.run(
        [sys.executable, "-m", "sidecars.warcopier"],
        env=copier.environ(told), preexec_fn=without_power, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    logs = [json.loads(line) for line in ended.stderr.splitlines()]
    return Outcome(ended.returncode, logs, ended.stderr)


def test_a_target_of_somebody_else_is_named_with_the_user_and_the_way_out(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    copier.target.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(copier.target, 12345, 12345)
    user = f"by user {os.geteuid()}, group {os.getegid()}"
    refused(run_without_power(copier), 74, f"WARCOPIER_TARGET={copier.target}: cannot be written {user}", "fsGroup")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_source_that_may_not_be_read_is_named(copier: Copier, what: str) -> None:
    copier.offer(shop=SHOP)
    place = copier.source / "shop.war" if what == "file" else copier.source
    place.chmod(0)
    if os.geteuid() == 0:
        os.chown(place, 12345, 12345)
    try:
        refused(run_without_power(copier), 74, f"{place}: cannot be read by user", "Permission denied")
    finally:
        place.chmod(0o755)
    assert copier.names() == []


def test_a_source_that_changes_while_it_is_copied_is_refused(copier: Copier) -> None:
    copier.offer(shop=war(size=2_000_000))
    appending = (
        "import sys; from sidecars.warcopier import app, staging; from chassis import commandline;"
        "from sidecars.warcopier.settings import Settings; copy = staging.copy;"
        f"staging.copy = lambda *args: (copy(*args), open({str(copier.source / 'shop.war')!r}, 'ab').write(b'x'))[0];"
        "sys.exit(commandline.job(Settings, app.run))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", appending], env=copier.environ({}), stderr=subprocess.PIPE, text=True, check=False
    )
    outcome = Outcome(ended.returncode, [json.loads(line) for line in ended.stderr.splitlines()], ended.stderr)
    refused(outcome, 74, "shop.war: it was changed while it was being copied")
    assert copier.names() == []


def test_a_copy_that_differs_from_what_was_read_is_refused(copier: Copier) -> None:
    copier.offer(shop=war(size=2_000_000))
    flipping = (
        "import os, sys; from sidecars.warcopier import app, staging; from chassis import commandline;"
        "from sidecars.warcopier.settings import Settings; copy = staging.copy;"
        "staging.copy = lambda r, w, *n: (copy(r, w, *n), os.pwrite(w, b'?', 5000))[0];"
        "sys.exit(commandline.job(Settings, app.run))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", flipping],
        env=copier.environ({"WARCOPIER_VALIDATE": "none"}), stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    outcome = Outcome(ended.returncode, [json.loads(line) for line in ended.stderr.splitlines()], ended.stderr)
    refused(outcome, 74, "the copy is not what was read; suspect the memory")
    assert copier.names() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_middle_of_a_copy_it_leaves_nothing(copier: Copier, number: signal.Signals) -> None:
    big = copier.source / "shop.war"
    big.touch()
    os.truncate(big, 2 << 30)  # a hole that takes a while to copy and to read
    running = subprocess.Popen(
        [sys.executable, "-m", "sidecars.warcopier"],
        env=copier.environ({}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: any(name.endswith(".staging") for name in copier.names()), "a staged file")
        running.send_signal(number)
        _, stderr = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 74
    assert json.loads(stderr.splitlines()[-1])["msg"] == f"stopped by {number.name} before the work was done"
    assert copier.names() == []


# -- the contract -------------------------------------------------------------------------------------------------


def test_every_wrong_setting_is_told_at_once_and_nothing_is_touched(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    outcome = copier.run(WARCOPIER_VALIDATE="yes", WARCOPIER_MAX_RATIO="0", WARCOPIER_TARGTE="/x")
    refused(outcome, 78, "WARCOPIER_VALIDATE=yes", "WARCOPIER_MAX_RATIO=0", "did you mean WARCOPIER_TARGET?")
    assert copier.names() == []


def test_check_shows_the_settings_and_opens_nothing(tmp_path: Path) -> None:
    nowhere = Copier(tmp_path / "no-source", tmp_path / "no-target")
    shown = subprocess.run(
        [sys.executable, "-m", "sidecars.warcopier", "--check"],
        env=nowhere.environ({}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"WARCOPIER_SOURCE={nowhere.source}\nWARCOPIER_TARGET={nowhere.target}\n" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_it_loads_neither_an_event_loop_nor_an_http_stack_nor_what_else_it_has_no_use_for(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    script = (
        "import sys; from sidecars.warcopier import app; from chassis import commandline;"
        "from sidecars.warcopier.settings import Settings;"
        "unwanted = {'asyncio', 'aiohttp', 'zipfile', 'http', 'ssl', 'uvloop', 'urllib.parse', 'pathlib', 'logging'};"
        "run = lambda settings: (app.run(settings), print(*sorted(unwanted & set(sys.modules))));"
        "sys.exit(commandline.job(Settings, run))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], env=copier.environ({}), capture_output=True, text=True, check=True
    )
    assert ended.stdout == "\n"


def test_what_was_done_is_the_termination_message(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    from chassis import lifecycle, signals  # noqa: PLC0415 - to be patched
    from sidecars.warcopier import app  # noqa: PLC0415 - as above

    said: list[str] = []
    monkeypatch.setattr(lifecycle, "write_termination", said.append)
    monkeypatch.setattr(signals, "stop_no_more", lambda: None)  # the tests themselves can still be stopped
    copier.offer(shop=SHOP)
    app.run(Settings(source=(str(copier.source),), target=str(copier.target), reserve=0))
    assert len(said) == 1
    assert said[0].startswith(f"1 published, 0 unchanged ({len(SHOP)} bytes copied in ")
    assert said[0].endswith(f" s): shop.war sha256:{sha256(SHOP)}")


def test_the_table_of_the_readme_is_the_declaration() -> None:
    readme = (ROOT / "sidecars" / "warcopier" / "README.md").read_text()
    assert rendered(readme, Settings) == readme


def test_leftovers_are_told_apart_from_artifacts_in_these_tests(copier: Copier) -> None:
    (copier.target / "x.staging").touch()
    (copier.target / "META-INF").mkdir()
    (copier.target / "META-INF" / "y.staging").mkdir()
    (copier.target / ".dir").mkdir()
    assert leftovers(copier.target) == ["META-INF", "META-INF/y.staging", "x.staging"]
    assert list(deployed(copier.target)) == [".dir"]
