"""Rules about artifacts: the use of the manifest, duplicates, and the mtime that Tomcat notices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier import artifacts
from sidecars.warcopier.artifacts import SECOND, DuplicateContext, Fingerprint, ManifestEntry, Source

HERE = Fingerprint(size=10, mtime_ns=1, ctime_ns=2, inode=3)
KNOWN = ManifestEntry("aa", "war", HERE)
NANOSECONDS = st.integers(0, 4 * 10**18)


def source(name: str, path: str = "", inode: int = 1) -> Source:
    return Source(path or f"/artifacts/{name}", name, 5, Fingerprint(10, 0, 0, inode), "/artifacts")


@pytest.mark.parametrize(
    ("known", "sha256", "check", "passed"),
    [
        (KNOWN, "aa", "war", True),
        (KNOWN, "aa", "zip", False),
        (KNOWN, "bb", "war", False),
        (None, "aa", "war", False),
    ],
)
def test_bytes_have_passed_a_check_only_where_the_record_says_so_of_that_digest(
    known: ManifestEntry | None, sha256: str, check: str, *, passed: bool
) -> None:
    assert artifacts.has_passed(known, sha256, check) is passed


def test_a_file_that_was_listed_twice_counts_once_and_the_order_is_by_name() -> None:
    found = [source("shop.war", inode=1), source("ROOT.war", inode=2), source("shop.war", "/artifacts/./shop.war")]
    assert [one.name for one in artifacts.without_duplicates(found)] == ["ROOT.war", "shop.war"]


@pytest.mark.parametrize(("one", "other"), [("shop.war", "shop.war"), ("ROOT##1.war", "##1.war")])
def test_two_files_that_are_one_web_application_clash(one: str, other: str) -> None:
    with pytest.raises(DuplicateContext, match=r"/a/.* and /b/"):
        artifacts.without_duplicates([source(one, "/a/x", inode=1), source(other, "/b/x", inode=2)])


@given(NANOSECONDS, st.lists(NANOSECONDS | st.none(), max_size=3))
def test_a_new_mtime_differs_from_every_one_that_tomcat_knows_even_in_whole_seconds(
    now: int, known: list[int | None]
) -> None:
    mtime = artifacts.new_mtime(now, known)
    assert all(other is None or mtime // SECOND != other // SECOND for other in known)
    assert mtime % SECOND == 0
    assert now - SECOND < mtime <= now + (61 + len(known)) * SECOND


@given(NANOSECONDS, st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=20))
def test_of_many_in_a_short_time_each_is_later_than_all_before(now: int, pauses: list[int]) -> None:
    times = [artifacts.new_mtime(now, [])]
    for pause in pauses:
        now += pause
        times.append(artifacts.new_mtime(now, [times[-1]]))
    assert times == sorted(set(times))


def test_a_time_far_in_the_future_does_not_keep_tomcat_from_ever_deploying_again() -> None:
    assert artifacts.new_mtime(100 * SECOND, [10**6 * SECOND, 100 * SECOND]) == 101 * SECOND
