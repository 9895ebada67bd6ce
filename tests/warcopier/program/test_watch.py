"""WARCOPIER_WATCH: a run after each kind of change of the source, and after failures."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.warcopier.archives import packed
from tests.warcopier.support import Copier, deployed, entries, leftovers, sha256, tree_digest
from tests.warcopier.watching import ONE, SELDOM, SOON, THREE, TWO, Watch, by_rename


def test_it_is_ready_after_the_first_publish_and_stays(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch()
    watcher.wait_ready()
    assert deployed(copier.target) == {"shop.war": sha256(ONE)}
    assert watcher.get("/livez").status_code == 200
    assert watcher.get("/status").json()["artifacts"] == {"shop.war": sha256(ONE)}
    assert watcher.program.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_told_to_stop_and_ends_with_0(copier: Copier, watch: Watch, number: signal.Signals) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SELDOM)
    watcher.wait_ready()
    watcher.program.signal(number)
    assert watcher.program.wait() == 0
    assert watcher.program.logs[-1]["msg"] == "drained"


def test_told_to_stop_in_the_middle_of_a_copy_it_leaves_the_old_war_and_ends_with_0(
    copier: Copier, watch: Watch
) -> None:
    copier.offer(shop=ONE)
    watcher = watch("tests.warcopier.slowly", WARCOPIER_VALIDATE="none")
    watcher.wait_ready()
    copier.offer_large()
    wait_until(lambda: leftovers(copier.target), "a staged file")
    assert watcher.program.stop() == 0
    assert deployed(copier.target) == {"shop.war": sha256(ONE)}


def exchange(copier: Copier, data: bytes) -> None:
    """Put another directory in place of the source, as a deployment of whole directories does."""
    new = copier.source.with_name("new")
    new.mkdir()
    (new / "shop.war").write_bytes(data)
    copier.source.rename(copier.source.with_name(f"before-{sha256(data)}"))
    new.rename(copier.source)


def make_again(copier: Copier, data: bytes) -> None:
    shutil.rmtree(copier.source)
    copier.source.mkdir()
    copier.offer(shop=data)


@pytest.mark.parametrize("change", [exchange, make_again])
def test_another_directory_in_the_place_of_the_source_is_watched_as_that_one_was(
    copier: Copier, watch: Watch, change: Callable[[Copier, bytes], None]
) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SELDOM)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    change(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    by_rename(copier, THREE)
    watcher.wait_deployed(shop=THREE)


def test_a_source_whose_directories_are_gone_is_seen_when_it_is_back(copier: Copier, watch: Watch) -> None:
    deep = copier.source / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "shop.war").write_bytes(ONE)
    watcher = watch(**SELDOM, WARCOPIER_SOURCE=str(deep))
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    shutil.rmtree(copier.source / "a")
    wait_until(lambda: "does not exist" in watcher.get("/status").json()["last_failure"], "a failure")
    deep.mkdir(parents=True)
    (deep / "shop.war").write_bytes(TWO)
    watcher.wait_deployed(shop=TWO)


def in_place(copier: Copier, data: bytes) -> None:
    (copier.source / "shop.war").write_bytes(data)


def by_removal(copier: Copier, data: bytes) -> None:
    (copier.source / "shop.war").unlink()
    (copier.source / "shop.war").write_bytes(data)


@pytest.mark.parametrize("change", [by_rename, in_place, by_removal])
@pytest.mark.parametrize("setting", ["{}", "{}/shop.war", "{}/*.war", "{}/../art*/shop.war"])
def test_a_change_is_published_when_the_kernel_tells_of_it(
    copier: Copier, watch: Watch, change: Callable[[Copier, bytes], None], setting: str
) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SELDOM, WARCOPIER_SOURCE=setting.format(copier.source))
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    for data in (TWO, THREE):
        change(copier, data)
        watcher.wait_deployed(shop=data)


def mount(folder: Path, number: int, data: bytes) -> None:
    """Do the step of AtomicWriter in the kubelet: a new directory, and `..data` renamed to lead to it."""
    (folder / f"..2026_{number}").mkdir()
    (folder / f"..2026_{number}" / "shop.war").write_bytes(data)
    (folder / "..data_tmp").symlink_to(f"..2026_{number}")
    (folder / "..data_tmp").rename(folder / "..data")


def test_the_swap_of_a_config_map_is_one_change(copier: Copier, watch: Watch) -> None:
    mount(copier.source, 1, ONE)
    (copier.source / "shop.war").symlink_to("..data/shop.war")
    watcher = watch(**SELDOM)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    for number, data in enumerate((TWO, THREE), 2):
        mount(copier.source, number, data)
        watcher.wait_deployed(shop=data)
    wait_until(lambda: watcher.metrics()["warcopier_published_total",] >= 3, "counted")
    assert watcher.metrics()["warcopier_published_total",] == 3


def test_a_link_to_a_directory_that_is_swapped_is_followed(copier: Copier, watch: Watch) -> None:
    """Several image volumes are mounted, and a link leads to the current one."""
    for name, data in {"v1": ONE, "v2": TWO}.items():
        (copier.source / name).mkdir()
        (copier.source / name / "shop.war").write_bytes(data)
        os.utime(copier.source / name / "shop.war", ns=(1, 1))
    (copier.source / "current").symlink_to("v1")
    watcher = watch(**SELDOM, WARCOPIER_SOURCE=f"{copier.source}/current")
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    (copier.source / "next").symlink_to("v2")
    (copier.source / "next").rename(copier.source / "current")
    watcher.wait_deployed(shop=TWO)


def test_what_the_kernel_does_not_tell_is_found_by_looking(copier: Copier, watch: Watch) -> None:
    """A second link leads to the file, and its directory is not watched."""
    far = copier.source / "far" / "away"
    far.mkdir(parents=True)
    (far / "shop.war").write_bytes(ONE)
    (copier.source / "near").symlink_to(far)
    (copier.source / "shop.war").symlink_to("near/shop.war")
    watcher = watch(**SOON)
    watcher.wait_ready()
    far.rename(far.parent / "gone")
    far.mkdir()
    (far / "shop.war").write_bytes(TWO)
    watcher.wait_deployed(shop=TWO)


def test_a_new_war_in_the_directory_is_published_and_one_that_is_gone_is_pruned(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON, WARCOPIER_PRUNE="true")
    watcher.wait_ready()
    copier.offer(ROOT=TWO)
    watcher.wait_deployed(shop=ONE, ROOT=TWO)
    (copier.source / "shop.war").unlink()
    watcher.wait_deployed(ROOT=TWO)


def test_an_unpacked_directory_is_replaced_too(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON, WARCOPIER_UNPACK="true")
    watcher.wait_ready()
    copier.offer(shop=TWO)
    wait_until(lambda: deployed(copier.target) == {"shop": tree_digest(entries(TWO))}, "the new directory")
    wait_until(lambda: not leftovers(copier.target), "the old one removed")


def test_a_directory_that_tomcat_would_not_reload_is_told(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=packed({"WEB-INF/classes/App.class": b""}))
    watcher = watch(**SOON, WARCOPIER_UNPACK="true")
    watcher.wait_ready()
    warned = [line["msg"] for line in watcher.program.logs if line["level"] == "warning"]
    assert warned == ["it has no WEB-INF/web.xml: a Tomcat that runs will not notice a later change"]


@pytest.mark.parametrize("broken", [b"<html>404</html>", ONE[:-20], b""], ids=["page", "half", "empty"])
def test_a_broken_war_is_told_and_counted_and_the_good_one_stays_until_a_better_comes(
    copier: Copier, watch: Watch, broken: bytes
) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON)
    watcher.wait_ready()
    by_rename(copier, broken)
    wait_until(lambda: watcher.get("/status").json()["last_failure"], "the failure")
    assert "shop.war: is" in watcher.get("/status").json()["last_failure"]
    assert deployed(copier.target) == {"shop.war": sha256(ONE)}
    assert watcher.get("/readyz").status_code == 200
    assert watcher.metrics()["warcopier_runs_total", "failed"] == 1
    assert watcher.metrics()["warcopier_last_run_failed",] == 1
    by_rename(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    wait_until(lambda: watcher.get("/status").json()["last_failure"] == "", "no failure any more")


def test_a_source_that_is_gone_for_a_while_changes_nothing(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON, WARCOPIER_PRUNE="true")
    watcher.wait_ready()
    copier.source.rename(copier.source.parent / "away")
    wait_until(lambda: "does not exist" in watcher.get("/status").json()["last_failure"], "the failure")
    assert deployed(copier.target) == {"shop.war": sha256(ONE)}
    (copier.source.parent / "away").rename(copier.source)
    copier.offer(shop=TWO)
    watcher.wait_deployed(shop=TWO)


def test_what_was_the_systems_fault_is_tried_again_although_the_source_stays_the_same(
    copier: Copier, watch: Watch
) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON)
    watcher.wait_ready()
    away = copier.target.parent / "away"
    copier.target.rename(away)
    by_rename(copier, TWO)
    wait_until(lambda: "there is no such directory" in watcher.get("/status").json()["last_failure"], "the failure")
    away.rename(copier.target)
    watcher.wait_deployed(shop=TWO)
    logged = [line for line in watcher.program.logs if "no such directory" in line["msg"]]
    assert len(logged) == 1, "once, however often it was tried"


def test_digests_that_come_after_the_war_are_heeded(copier: Copier, watch: Watch) -> None:
    sums = copier.source / "SHA256SUMS"
    copier.offer(shop=ONE)
    sums.write_text(f"{sha256(ONE)}  shop.war\n")
    watcher = watch(**SOON)
    watcher.wait_ready()
    copier.offer(shop=TWO)
    wait_until(lambda: "was expected" in watcher.get("/status").json()["last_failure"], "the failure")
    sums.write_text(f"{sha256(TWO)}  shop.war\n")
    watcher.wait_deployed(shop=TWO)


@pytest.mark.parametrize(("data", "code"), [(b"<html>", 65), (None, 78)], ids=["broken", "missing"])
def test_the_first_run_ends_as_a_job_would_where_it_fails(
    copier: Copier, watch: Watch, data: bytes | None, code: int
) -> None:
    if data is not None:
        copier.offer(shop=data)
    watcher = watch()
    assert watcher.program.wait() == code
    assert watcher.program.logs[-1]["exit_code"] == code


def test_a_port_that_is_taken_is_told_before_anything_is_published(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    first = watch()
    first.wait_ready()
    second = watch(WARCOPIER_ADMIN_LISTEN=f"127.0.0.1:{first.port}")
    assert second.program.wait() == 69
    assert "WARCOPIER_ADMIN_LISTEN" in second.program.logs[-1]["msg"]


def test_metrics_tell_what_is_there_with_its_digest_and_what_was_done(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=ONE)
    watcher = watch(**SOON)
    watcher.wait_ready()
    by_rename(copier, TWO)
    watcher.wait_deployed(shop=TWO)
    wait_until(lambda: watcher.metrics()["warcopier_published_total",] == 2, "counted")
    metrics = watcher.metrics()
    assert metrics["warcopier_artifact_info", "shop.war", sha256(TWO)] == 1
    assert [name for name in metrics if name[0] == "warcopier_artifact_info"] == [
        ("warcopier_artifact_info", "shop.war", sha256(TWO))
    ]
    assert metrics["warcopier_runs_total", "published"] == 2
    assert metrics["warcopier_copied_bytes_total",] == len(ONE) + len(TWO)
    assert metrics["warcopier_last_success_timestamp_seconds",] > 1_700_000_000
    assert metrics["warcopier_last_run_failed",] == 0
