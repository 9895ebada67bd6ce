"""The data of a page, of which none is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.page import document
from sidecars.chassis.page.picture import Column, Picture, Table, Words
from sidecars.top import page_data

PICTURE = Picture(
    Words("Ledger", "ledger"),
    Table(
        "Files", "files.*", (Column("File", "key:0"), Column("Read", "read", "rate-spark", unit="bytes")), key="inode"
    ),
)
STATUS = {
    "name": "logshipper",
    "version": "1",
    "state": "ready",
    "since": "",
    "since_seconds": 1,
    "reasons": [],
    "trouble": [],
}


def page(picture: Any, status: Any = STATUS) -> str:
    data = json.dumps({"picture": picture, "status": status, "siblings": True})
    return f"<script type=application/json id=data>{data}</script>"


def test_the_picture_of_a_page_is_the_one_that_the_sidecar_has() -> None:
    html = document.html(PICTURE, json.dumps(STATUS), "/", siblings=True).decode()

    data = page_data.read(html)

    assert data.picture.parts == PICTURE.parts
    assert data.status == STATUS
    assert data.has_siblings


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<script>1</script>",
        "<script type=application/json id=data>[1]</script>",
        "<script type=application/json id=data>" + "[" * 100_000 + "</script>",
        page(None),
        page([7]),
        page([{"title": "x"}]),
        page([{"title": 7, "path": "a"}]),
        page([{"title": "x", "rows": "a.*", "columns": 7}]),
        page([{"title": "x", "rows": "a.*", "columns": ["y|z|script"]}]),
        page([{"title": "x", "rows": "a.*", "columns": ["y|key:7"]}]),
        page([], None),
        page([], {"name": 7, "state": "ready"}),
    ],
)
def test_another_page_than_that_of_a_sidecar_is_refused_with_a_sentence(html: str) -> None:
    with pytest.raises(ValueError, match=r"^it is |^its |^the picture |^Expecting|: "):
        page_data.read(html)


def test_members_of_a_newer_version_are_passed_over() -> None:
    part = {"title": "x", "rows": "a.*", "columns": ["y|z||||red"], "order": 7}

    [table] = page_data.read(page([part])).picture.parts

    assert isinstance(table, Table)
    assert table.columns == (Column("y", "z"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["title", "path", "rows", "columns", "kind", "name", "state"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_whatever_a_page_has_it_is_read_or_refused(picture: Any, status: Any) -> None:
    try:
        data = page_data.read(page([picture], status))
    except ValueError:
        return
    assert isinstance(data.status["name"], str)
