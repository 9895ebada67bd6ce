"""The page of a real warcopier that watches: artifacts, what is copied, and what is refused."""

from __future__ import annotations

from typing import Any

from sidecars.warcopier.picture import PICTURE
from tests.picture_paths import empty_cells, page_of
from tests.support import wait_until
from tests.warcopier.archives import packed
from tests.warcopier.support import LARGE, Copier, deployed, sha256
from tests.warcopier.watching import SELDOM, Watch, Watcher, by_rename


def versioned(version: str) -> bytes:
    manifest = f"Implementation-Version: {version}\n".encode()
    return packed({"META-INF/MANIFEST.MF": manifest, "WEB-INF/web.xml": b"<web-app/>"})


def shop(watcher: Watcher) -> dict[str, Any]:
    found: dict[str, Any] = watcher.get("/status").json()["deployments"]["shop.war"]
    return found


def test_the_page_shows_versions_a_roll_back_and_a_source_that_is_refused(copier: Copier, watch: Watch) -> None:
    one, two = versioned("1.0"), versioned("2.0<b>")
    copier.offer(shop=one)
    watcher = watch(**SELDOM)
    watcher.wait_ready()
    watcher.program.wait_logged("watching")
    found = shop(watcher)
    assert (found["state"], found["version"], found["sha256"]) == ("deployed", "1.0", sha256(one))
    assert (found["source"], found["bytes"]) == (str(copier.source / "shop.war"), len(one))

    by_rename(copier, two)
    wait_until(lambda: shop(watcher)["version"] == "2.0<b>", "the second version")
    by_rename(copier, one)
    wait_until(lambda: shop(watcher)["state"] == "rolled back", "the first version again")
    by_rename(copier, two[:-30])
    wait_until(lambda: shop(watcher)["state"] == "refused", "a source that is cut short")

    status = watcher.get("/status").json()
    assert shop(watcher)["version"] == "1.0"
    assert shop(watcher)["refused"] == status["last_failure"] != ""
    assert 0 < status["next_look_seconds"] <= 3600
    assert status["last_run"]["result"] == "failed"
    assert empty_cells(PICTURE, status) == {"At work"}
    assert shop(watcher)["refused"] in page_of(watcher.port)
    assert deployed(copier.target) == {"shop.war": sha256(one)}


def test_artifacts_of_an_earlier_process_are_verified_and_a_directory_has_its_version(
    copier: Copier, watch: Watch
) -> None:
    copier.offer(shop=versioned("3.1"))
    copier.run(WARCOPIER_UNPACK="true")
    watcher = watch(**SELDOM, WARCOPIER_UNPACK="true")
    watcher.wait_ready()
    (found,) = watcher.get("/status").json()["deployments"].values()
    assert (found["state"], found["version"]) == ("verified", "3.1")


def test_a_copy_tells_how_far_it_is(copier: Copier, watch: Watch) -> None:
    copier.offer(shop=versioned("1.0"))
    watcher = watch("tests.warcopier.slowly", WARCOPIER_VALIDATE="none")
    watcher.wait_ready()
    copier.offer_large()

    def work() -> dict[str, Any] | None:
        """Return the document while bytes are copied."""
        found: dict[str, Any] = watcher.get("/status").json()
        return found if (found["copying"] or {}).get("bytes", 0) > 0 else None

    document = wait_until(work, "bytes are copied")
    found = document["copying"]
    assert (found["artifact"], found["phase"], found["of_bytes"]) == ("shop.war", "copying", LARGE)
    assert found["bytes_per_second"] > 0
    assert document["next_look_seconds"] is None
    assert watcher.program.stop() == 0
