"""Decisions: what is copied, compared, checked or kept, and which mtime makes Tomcat look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier import plan
from sidecars.warcopier.plan import SECOND, Clash, Fingerprint, Published, Source, Step

HERE = Fingerprint(size=10, mtime_ns=1, ctime_ns=2, inode=3)
KNOWN = Published("aa", "war", HERE)
NANOSECONDS = st.integers(0, 4 * 10**18)


def source(name: str, path: str = "", inode: int = 1) -> Source:
    return Source(path or f"/artifacts/{name}", name, 5, Fingerprint(10, 0, 0, inode))


@pytest.mark.parametrize(
    ("present", "step"),
    [(None, Step.COPY), (HERE._replace(size=11), Step.COPY), (HERE, Step.COMPARE)],
)
def test_only_a_file_of_the_same_size_is_worth_comparing(present: Fingerprint | None, step: Step) -> None:
    assert plan.first_step(10, present) is step


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_the_record_is_not_believed_about_a_file_that_differs_in_anything(field: str) -> None:
    assert plan.believed_sha256(HERE, KNOWN) == "aa"
    assert plan.believed_sha256(HERE._replace(**{field: 99}), KNOWN) is None
    assert plan.believed_sha256(HERE, None) is None


@pytest.mark.parametrize(
    ("here", "there", "known", "check", "step"),
    [
        ("aa", "bb", None, "war", Step.COPY),
        ("aa", "bb", KNOWN, "war", Step.COPY),
        ("bb", "aa", KNOWN, "war", Step.COPY),
        ("aa", "aa", KNOWN, "war", Step.KEEP),
        ("aa", "aa", KNOWN, "zip", Step.CHECK),
        ("aa", "aa", None, "war", Step.CHECK),
        ("bb", "bb", KNOWN, "war", Step.CHECK),
    ],
)
def test_equal_bytes_are_kept_once_they_have_passed_the_check(
    here: str, there: str, known: Published | None, check: str, step: Step
) -> None:
    assert plan.second_step(here, there, known, check) is step


def test_a_file_that_was_listed_twice_counts_once_and_the_order_is_by_name() -> None:
    found = [source("shop.war", inode=1), source("ROOT.war", inode=2), source("shop.war", "/artifacts/./shop.war")]
    assert [one.name for one in plan.without_doubles(found)] == ["ROOT.war", "shop.war"]


@pytest.mark.parametrize(("one", "other"), [("shop.war", "shop.war"), ("ROOT##1.war", "##1.war")])
def test_two_files_that_are_one_web_application_clash(one: str, other: str) -> None:
    with pytest.raises(Clash, match=r"/a/.* and /b/"):
        plan.without_doubles([source(one, "/a/x", inode=1), source(other, "/b/x", inode=2)])


@given(NANOSECONDS, st.lists(NANOSECONDS, max_size=3))
def test_a_new_mtime_differs_from_every_one_that_tomcat_knows_even_in_whole_seconds(now: int, taken: list[int]) -> None:
    mtime = plan.modification_time(now, taken)
    assert all(mtime // SECOND != other // SECOND for other in taken)
    assert mtime % SECOND == 0
    assert now - SECOND < mtime <= now + len(taken) * SECOND
