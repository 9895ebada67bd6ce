"""A picture refuses what no page could show, in a sentence that names the part."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sidecars.chassis.page.picture import KINDS, STATES, Column, Picture, Table, Words

COLUMN = Column("Name", "key:0")
BAR = Column("All", "all", "bar", of="of", unit="bytes")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_makes_a_column(kind: Any) -> None:
    assert Column("Title", "a.b-c.0.d_e", kind).kind == kind


@pytest.mark.parametrize("path", ["", "a..b", ".a", "a.", "a b", "a.*", "*", "key:", "key:x", "a/b"])
def test_a_path_of_a_column_is_names_with_dots_or_a_captured_key(path: str) -> None:
    with pytest.raises(ValueError, match=r"column 'Title': path .*; expected names with dots between, key:N or \."):
        Column("Title", path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "colour"}, "column 'Title': kind 'colour'; expected one of bar, bytes"),
        ({"unit": "miles"}, "column 'Title': unit 'miles'; expected one of bytes, seconds"),
        ({"kind": "rate", "of": "b"}, "column 'Title': rate has no `of`"),
        ({"kind": "bar", "of": "b c"}, "column 'Title', of: path 'b c'"),
        ({"title": ""}, "column of 'a': it needs a title"),
        ({"title": "a|b"}, "column of 'a': it needs a title, without |"),
    ],
)
def test_a_wrong_column_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Column(**{"title": "Title", "path": "a", **wrong})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rows": "*"}, "rows"),
        ({"rows": "a..b"}, "rows"),
        ({"rows": "key:0"}, "rows"),
        ({"columns": ()}, "it needs a column"),
        ({"columns": (COLUMN, COLUMN)}, "two columns have one title"),
        ({"columns": (Column("Two", "key:1"),)}, "key:1, but rows 'a.*' captures 1"),
        ({"key": "key:7"}, "key:7, but rows 'a.*' captures 1"),
        ({"title": ""}, "it needs a title"),
    ],
)
def test_a_wrong_table_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="table") as caught:
        Table(**{"title": "Things", "rows": "a.*", "columns": (COLUMN,), **wrong})
    assert said in str(caught.value)


def test_two_parts_have_two_titles_since_the_title_identifies_a_part() -> None:
    with pytest.raises(ValueError, match="two parts of a picture are titled Ledger"):
        Picture(Words("Ledger", "a"), Words("Ledger", "b"))


@pytest.mark.parametrize("path", ["", "a.*", "key:0"])
def test_words_have_a_path_without_a_star(path: str) -> None:
    with pytest.raises(ValueError, match="words 'Ledger': path"):
        Words("Ledger", path)


def test_the_script_gets_no_member_that_is_empty_or_the_default() -> None:
    picture = Picture(Table("Things", "a.*", (COLUMN, Column("Size", "size", "bytes"), BAR)), Words("Ledger", "ledger"))
    assert picture.as_json() == [
        {
            "title": "Things",
            "rows": "a.*",
            "columns": ["Name|key:0", "Size|size|bytes", "All|all|bar|of|bytes"],
            "empty": "None.",
        },
        {"title": "Ledger", "path": "ledger"},
    ]


def test_no_word_of_a_state_is_good_and_bad() -> None:
    words = [word for words in STATES.values() for word in words]
    assert len(set(words)) == len(words)
    assert all(word == word.lower() for word in words)
