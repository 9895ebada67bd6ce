"""Hostile input, in archives or beside them: a run ends with success or with a sentence, and 0, 65 or 74."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime import lifecycle
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
from tests.support import examples
from tests.warcopier.archives import CENTRAL, mutations, packed, patched, with_extra
from tests.warcopier.support import MANIFEST, OTHER, SHOP, TRACKER, UNPACK, Copier, deployed, published, refused, sha256

SENTENCES = (0, 65, 74)


@pytest.fixture
def umask_stays(umask_of_its_own: None) -> None:
    """Restore the umask, which runs in this process change."""


def run_here(folder: Path, data: bytes, *, unpack: bool, sums: bytes = b"", validate: str = "war") -> int:
    """Run the job in this process, with the outermost error handling. Return its exit code."""
    source, target = folder / "artifacts", folder / "webapps"
    source.mkdir()
    target.mkdir()
    (source / "shop.war").write_bytes(data)
    if sums:
        (source / "SHA256SUMS").write_bytes(sums)
    environ = {
        "WARCOPIER_SOURCE": str(source),
        "WARCOPIER_TARGET": str(target),
        "WARCOPIER_UNPACK": str(unpack).lower(),
        "WARCOPIER_VALIDATE": validate,
        "WARCOPIER_RESERVE": "0",
    }
    code = lifecycle.exit_code_of(lambda: app.publish(load(Settings, environ)))
    if code:
        assert list(target.iterdir()) == [], "nothing is published, and nothing is left"
    return code


HUGE = b"\1\0\x18\0" + b"\xff" * 16 + b"\xff\xff\xff\xff\xff\xff\xff\x7f"  # a zip64 field: an offset of 2^63 - 1
FAR = patched(with_extra(packed({"a": b"x"}), b"\1\0\x08\0" + b"\xff" * 7 + b"\x7f"), CENTRAL, 42, b"\xff" * 4)


@pytest.mark.usefixtures("umask_stays")
@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutations(), unpack=st.booleans(), validate=st.sampled_from(["war", "zip"]))
@example(data=FAR, unpack=False, validate="war")
@example(data=FAR, unpack=True, validate="war")
@example(data=patched(with_extra(packed({"a": b"x"}), HUGE), CENTRAL, 20, b"\xff" * 8), unpack=True, validate="war")
def test_whatever_is_in_an_archive_the_run_ends_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    *,
    unpack: bool,
    validate: str,
) -> None:
    check = "war" if unpack else validate
    assert run_here(tmp_path_factory.mktemp("run"), data, unpack=unpack, validate=check) in SENTENCES


@pytest.mark.usefixtures("umask_stays")
@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), unpack=st.booleans())
def test_whatever_bytes_are_offered_the_run_ends_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    *,
    unpack: bool,
) -> None:
    assert run_here(tmp_path_factory.mktemp("run"), data, unpack=unpack) == 65


DIGEST = sha256(SHOP).encode()
PIECES = st.sampled_from([DIGEST, b" ", b"  ", b"\\", b"\n", b"\xff", b"\0", b"shop.war", b"SHA256 (", b") = "])


@pytest.mark.usefixtures("umask_stays")
@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.lists(PIECES, max_size=8).map(b"".join))
@example(DIGEST + b"  a\xff\n" + DIGEST[::-1] + b"  a\xff\n")
@example(DIGEST + b"  a\nb\n")
def test_whatever_is_in_the_list_of_digests_the_run_ends_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, sums: bytes
) -> None:
    assert run_here(tmp_path_factory.mktemp("run"), SHOP, unpack=False, sums=sums) in SENTENCES


@pytest.mark.parametrize("unpack", ["true", "false"])
@pytest.mark.parametrize(
    "entry",
    [
        f"{TRACKER}/",
        f"{TRACKER}/x",
        f"{TRACKER}/x/y/",
        "./META-INF//war-tracker/x",
        "META-INF",
        "./META-INF",
    ],
)
def test_an_entry_in_the_place_of_the_tracker_is_refused_where_it_is_unpacked(
    copier: Copier, entry: str, unpack: str
) -> None:
    copier.offer(shop=packed({"WEB-INF/web.xml": b"", entry: b""}))
    outcome = copier.run(WARCOPIER_UNPACK=unpack)
    if unpack == "true":
        said = f"has an entry in the place of {TRACKER}, by which Tomcat knows an unpacked directory: {entry}"
        refused(outcome, 65, said, "nothing was published")
        assert copier.names() == []
    else:
        published(outcome)


@pytest.mark.parametrize("name", ["META-INF", "WEB-INF", "meta-inf"])
def test_an_application_that_tomcat_would_never_serve_unpacked_is_refused(copier: Copier, name: str) -> None:
    (copier.source / f"{name}.war").write_bytes(SHOP)
    refused(copier.run(**UNPACK), 65, f"{name}.war: ", "Tomcat deploys no directory of that name")
    assert copier.names() == []


@pytest.mark.parametrize(
    "name", ["../theirs.war", "/theirs.war", "a/b.war", "a\0.war", "\ud800.war", "", ".", "..", "META-INF/../x.war"]
)
def test_a_record_that_names_something_elsewhere_is_of_no_use(copier: Copier, name: str) -> None:
    theirs = copier.target.parent / "theirs.war"
    theirs.write_bytes(OTHER)
    found = theirs.stat()
    file = {
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
        "inode": found.st_ino,
    }
    forged = {"version": 1, "artifacts": {name: {"sha256": sha256(OTHER), "check": "war", "file": file}}}
    (copier.target / MANIFEST).write_text(json.dumps(forged))
    copier.offer(shop=SHOP)
    outcome = published(copier.run(WARCOPIER_PRUNE="true"), "1 published")
    assert outcome.warnings == ["the manifest is not valid: everything is read again"]
    assert deployed(copier.target) == {"shop.war": sha256(SHOP)}
    assert theirs.read_bytes() == OTHER


@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "socket", "huge"])
def test_a_list_of_digests_that_is_no_file_is_refused_and_never_waited_for(copier: Copier, kind: str) -> None:
    place = copier.source / "SHA256SUMS"
    copier.offer(shop=SHOP)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    elif kind == "directory":
        place.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    else:
        place.touch()
        os.truncate(place, 5 << 30)
    said = {
        "pipe": "is a named pipe",
        "device": "a link leads out of",
        "directory": "is a directory",
        "socket": "is a socket",
    }
    outcome = copier.run(WARCOPIER_CONFINEMENT="off")  # else the kernel refuses the device before it is looked at
    refused(outcome, 65, f"{place}: ", said.get(kind, "more than 1048576 bytes"), "nothing was published")
    assert copier.names() == []


def test_names_of_any_bytes_are_published_and_told(copier: Copier) -> None:
    name = os.fsdecode(b"k\xf6ln \xf0\x9f\x90\x88\n.war")
    (copier.source / name).write_bytes(SHOP)
    outcome = published(copier.run())
    assert "k\\udcf6ln" in outcome.logs[-1]["sha256"]
    assert deployed(copier.target) == {name: sha256(SHOP)}
    published(copier.run(), "nothing to do")


def test_digests_that_are_a_link_to_nothing_are_not_taken_for_none(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "SHA256SUMS").symlink_to("gone")
    refused(copier.run(), 65, f"{copier.source}/SHA256SUMS: it is a link to nothing", "nothing was published")


def test_digests_may_begin_with_the_mark_of_utf_8(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    (copier.source / "SHA256SUMS").write_text(f"\ufeff{sha256(SHOP)} *shop.war\r\n")
    published(copier.run(WARCOPIER_REQUIRE_SHA256="true"))
    (copier.source / "SHA256SUMS").write_text(f"\ufeff{sha256(OTHER)} *shop.war\r\n")
    refused(copier.run(), 65, "was expected")


@pytest.mark.parametrize("put", [Path.touch, lambda place: place.symlink_to("gone")])
def test_what_is_in_the_place_where_directories_are_unpacked_is_named(
    copier: Copier, put: Callable[[Path], None]
) -> None:
    copier.offer(shop=SHOP)
    put(copier.target / "META-INF")
    refused(copier.run(**UNPACK), 74, f"{copier.target}/META-INF: it is no directory", "remove it")
    assert copier.names() == ["META-INF"]
