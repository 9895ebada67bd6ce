"""Missing rotated files, found by their numbers."""

from __future__ import annotations

import pytest

from sidecars.logshipper.input.rotated_file_gaps import missing


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        (["app.log"], {}),
        (["app.log", "app.log.1"], {"app.log": "app.log.2"}),
        (["app.log", "app.log.1", "app.log.2"], {"app.log": "app.log.3"}),
        (["app.log", "app.log.2"], {"app.log": "app.log.1"}),
        (["app.log", "app.log.1", "app.log.3"], {"app.log": "app.log.2"}),
        (["app.log", "app.1.log", "app.2.log"], {"app.log": "app.3.log"}),
        (["app.log", "app-001.log"], {"app.log": "app-002.log"}),
        (["app.log", "app.log.2", "app.log.1"], {}),
        (["app.log", "app.log.7", "app.log.6"], {"app.log": "app.log.5"}),
        (["app.log", "app.log.7", "app.log.5", "app.log.4", "app.log.3", "app.log.2", "app.log.1"],
         {"app.log": "app.log.6"}),
        (["worker.1.log", "worker.2.log"], {}),
        (["worker.1", "worker.2"], {}),
        (["app.log.1", "app.log.3"], {"app.log": "app.log.2"}),
        (["app.log", "app.log.20260102", "app-2026-01-02.log"], {}),
        (["app.log", "app.log.1", "other.log"], {"app.log": "app.log.2"}),
    ],
)  # fmt: skip
def test_the_newest_file_that_is_not_there_is_named(newest_first: list[str], expected: dict[str, str]) -> None:
    modified = {name: -age for age, name in enumerate(newest_first)}
    assert missing(newest_first, modified) == expected


def test_a_predecessor_that_is_compressed_or_matched_by_no_glob_is_there() -> None:
    modified = {"app.log": 9, "app.log.1": 8}
    assert missing([*modified, "app.log.2.gz"], modified) == {}
    assert missing([*modified, "app.log.2"], modified) == {}
    assert missing([*modified, "app.log.3.gz"], modified) == {"app.log": "app.log.2"}


def test_a_later_listing_that_leaves_out_files_that_are_renamed_is_no_error() -> None:
    assert missing([], {"app.log": 3, "app.log.1": 2, "app.log.2": 1}) == {"app.log": "app.log.3"}
