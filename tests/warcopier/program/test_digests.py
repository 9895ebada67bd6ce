"""SHA-256 digests: those in a setting, those in a file beside the source, and none at all."""

from __future__ import annotations

import pytest

from tests.warcopier.support import OTHER, SHOP, Copier, deployed, published, refused, sha256, war


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
    settings = {"WARCOPIER_REQUIRE_SHA256": "true"}
    refused(copier.run(**settings), 65, "WARCOPIER_REQUIRE_SHA256=true", f"{copier.source}/SHA256SUMS")
    (copier.source / "SHA256SUMS").write_text(f"{sha256(SHOP)}  another.war\n")
    refused(copier.run(WARCOPIER_REQUIRE_SHA256="true"), 65, "gives its digest")
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
    settings, one, two = {"WARCOPIER_DIGEST": "false"}, war("one", size=size), war("two", size=size)
    copier.offer(shop=one)
    published(copier.run(**settings), "1 published")
    assert published(copier.run(**settings), "nothing to do").logs[-1]["sha256"] == ""
    copier.offer(shop=two)
    published(copier.run(**settings), "1 published")
    assert deployed(copier.target) == {"shop.war": sha256(two)}
    refused(copier.run(**settings, WARCOPIER_SHA256=sha256(b"")), 65, "was expected")
    assert published(copier.run(), "nothing to do").logs[-1]["sha256"] == f"shop.war sha256:{sha256(two)}"
