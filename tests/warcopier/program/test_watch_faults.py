"""WARCOPIER_WATCH with faults: no inotify, an incomplete source, a restart while the source is broken."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.warcopier.archives import packed
from tests.warcopier.support import Copier, deployed, entries, published, sha256, tree_digest
from tests.warcopier.watching import ONE, SELDOM, SOON, TWO, Watch, Watcher, by_rename

# -- no inotify -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["instances", "watches"])
def test_where_the_kernel_has_no_inotify_to_give_the_source_is_polled(copier: Copier, watch: Watch, what: str) -> None:
    copier.offer(shop=ONE)
    watcher = watch("tests.warcopier.without_inotify", what, **SELDOM)
    watcher.wait_ready()
    wait_until(lambda: watcher.get("/status").json()["polls"], "polling")
    assert watcher.metrics()["warcopier_source_polled",] == 1
    by_rename(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    (warned,) = [line["msg"] for line in watcher.program.logs if line["level"] == "warning"]
    assert warned.startswith("inotify is not available, so the source is polled")
    assert "fs.inotify.max_user_instances" in warned
    assert watcher.get("/livez").status_code == 200


def test_where_inotify_can_have_no_thread_of_its_own_the_source_is_polled(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch("tests.warcopier.two_threads", **SELDOM)
    watcher.wait_ready()
    wait_until(lambda: watcher.get("/status").json()["polls"], "polling")
    by_rename(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    (warned,) = [line for line in watcher.program.logs if line["level"] == "warning"]
    assert "no more threads" in warned["reason"]


def test_where_there_is_inotify_nothing_is_polled(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    by_rename(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    assert watcher.get("/status").json()["polls"] is False
    assert watcher.metrics()["warcopier_source_polled",] == 0


def test_a_name_that_is_not_utf_8_beside_the_source_is_no_end(copier: Copier, watch: Watch) -> None:
    name = os.fsdecode(b"k\xf6ln.war")
    copier.offer(shop=ONE)
    watcher = watch(**SOON)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    (copier.source / "new").write_bytes(TWO)
    (copier.source / "new").rename(copier.source / name)
    wait_until(lambda: sorted(deployed(copier.target)) == sorted([name, "shop.war"]), "both published")
    wait_until(lambda: len(watcher.get("/status").json()["artifacts"]) == 2, "both shown")
    assert watcher.get("/status").json()["artifacts"]["k\\udcf6ln.war"] == sha256(TWO)
    assert watcher.metrics()["warcopier_artifact_info", "k\\udcf6ln.war", sha256(TWO)] == 1


# -- a source that is being written -----------------------------------------------------------------------------------


def begin_to_write(copier: Copier, data: bytes) -> None:
    with (copier.source / "shop.war").open("r+b") as file:
        file.truncate(0)
        file.write(data[: len(data) // 2])


def test_what_is_being_written_is_waited_for_and_is_no_failure(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch("tests.warcopier.never_quiet", **SOON)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    begin_to_write(copier, TWO)
    wait_until(lambda: watcher.get("/status").json()["waiting"], "waiting")
    for size in range(len(TWO) // 2, len(TWO) - 1, 20):
        os.truncate(copier.source / "shop.war", size)
        assert watcher.get("/status").json()["last_failure"] == ""
    assert watcher.metrics()["warcopier_runs_total", "failed"] == 0
    assert deployed(copier.target) == {"shop.war": sha256(ONE)}
    logged = [line for line in watcher.program.logs if "being written" in line["msg"]]
    assert len(logged) == 1, "one state, and not a failure for each look"


@pytest.mark.parametrize("validate", ["war", "none"])
def test_what_was_being_written_is_published_when_it_is_complete(copier: Copier, watch: Watch, validate: str) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SELDOM, WARCOPIER_VALIDATE=validate)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    begin_to_write(copier, TWO)
    (copier.source / "shop.war").write_bytes(TWO)
    wait_until(lambda: (copier.target / "shop.war").read_bytes() == TWO, "the whole one published")
    wait_until(lambda: not watcher.get("/status").json()["waiting"], "nothing more to wait for")


def test_a_source_that_is_being_written_at_the_start_is_waited_for(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=TWO[:100])
    watcher = watch("tests.warcopier.never_quiet", **SOON)
    watcher.program.wait_logged("the source is being written: waiting until it is complete")
    assert watcher.get("/readyz").status_code == 503
    assert watcher.program.stop() == 0


# -- a restart while the source is broken -----------------------------------------------------------------------------


def break_archive(copier: Copier) -> str:
    copier.offer(shop=b"<html>404</html>")
    return "is not a zip"


def remove_source(copier: Copier) -> str:
    (copier.source / "shop.war").unlink()
    return "there is no *.war there"


def forget_digest(copier: Copier) -> str:
    (copier.source / "SHA256SUMS").write_text(f"{sha256(TWO)}  shop.war\n")
    return "was expected"


def put_pipe(copier: Copier) -> str:
    (copier.source / "shop.war").unlink()
    os.mkfifo(copier.source / "shop.war")
    return "is a named pipe"


def stays(copier: Copier, watcher: Watcher, said: str, unpack: str) -> None:
    watcher.wait_ready()
    name, digest = ("shop", tree_digest(entries(ONE))) if unpack == "true" else ("shop.war", sha256(ONE))
    stated = "" if unpack == "true" else digest  # without its archive a directory cannot be compared
    wait_until(lambda: said in watcher.get("/status").json()["last_failure"], "the failure")
    assert watcher.get("/readyz").status_code == 200
    assert watcher.get("/status").json()["artifacts"] == {name: stated}
    assert watcher.metrics()["warcopier_artifact_info", name, stated] == 1
    assert watcher.metrics()["warcopier_runs_total", "failed"] >= 1
    assert deployed(copier.target) == {name: digest}
    failed = [line for line in watcher.program.logs if line["level"] == "error"]
    assert [line["kept"] for line in failed] == ["what is published stays"]


@pytest.mark.parametrize("unpack", ["false", "true"])
@pytest.mark.parametrize("fault", [break_archive, remove_source, forget_digest, put_pipe])
def test_a_restart_with_a_broken_source_and_a_good_publish_stays_is_ready_and_says_what_is_wrong(
    copier: Copier, watch: Watch, fault: Callable[[Copier], str], unpack: str
) -> None:
    copier.offer(shop=ONE)
    first = watch(**SOON, WARCOPIER_UNPACK=unpack)
    first.wait_ready()
    first.program.kill()
    said = fault(copier)
    for number in (signal.SIGKILL, signal.SIGTERM):
        again = watch(**SOON, WARCOPIER_UNPACK=unpack)
        stays(copier, again, said, unpack)
        again.program.signal(number)
        again.program.wait()


def test_after_such_a_restart_a_good_source_is_published(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    published(copier.run())
    said = break_archive(copier)
    watcher = watch(**SOON)
    stays(copier, watcher, said, "false")
    by_rename(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    wait_until(lambda: watcher.get("/status").json()["last_failure"] == "", "no failure any more")


@pytest.mark.parametrize("put", [lambda place: place.symlink_to(place.name), os.mkfifo])
def test_what_somebody_has_put_in_the_place_of_one_war_does_not_hide_that_another_is_good(
    copier: Copier, watch: Watch, put: Callable[[Path], None]
) -> None:
    copier.offer(shop=ONE, old=TWO)
    published(copier.run())
    (copier.target / "old.war").unlink()
    put(copier.target / "old.war")
    said = break_archive(copier)
    watcher = watch(**SOON)
    stays(copier, watcher, said, "false")
    (copier.target / "old.war").unlink()


def change_target(copier: Copier) -> None:
    (copier.target / "shop.war").write_bytes(packed({"somebody": b"else's"}))


def empty_target(copier: Copier) -> None:
    (copier.target / "shop.war").unlink()


@pytest.mark.parametrize("change", [change_target, empty_target])
def test_where_what_was_published_is_gone_or_changed_it_ends_as_a_job_would(
    copier: Copier, watch: Watch, change: Callable[[Copier], None]
) -> None:
    copier.offer(shop=ONE)
    published(copier.run())
    change(copier)
    break_archive(copier)
    watcher = watch(**SOON)
    assert watcher.program.wait() == 65


def test_without_watch_a_broken_source_ends_with_65_and_what_is_published_stays(copier: Copier) -> None:
    copier.offer(shop=ONE)
    published(copier.run())
    break_archive(copier)
    for _ in range(2):
        assert copier.run().code == 65
        assert deployed(copier.target) == {"shop.war": sha256(ONE)}
