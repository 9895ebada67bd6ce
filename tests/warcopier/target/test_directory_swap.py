"""Removal of directories, whatever is in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.isolation.beneath import Root
from sidecars.warcopier.target import directory_swap
from tests.warcopier.support import (
    names,
)

TREES = st.recursive(
    st.sampled_from(["file", "link", "pipe"]),
    lambda inner: st.dictionaries(st.sampled_from([".0", ".1", ".2", "a", "b"]), inner, max_size=4),
    max_leaves=12,
)


def make(path: Path, what: str | dict[str, object]) -> None:
    if isinstance(what, dict):
        path.mkdir()
        for name, inner in what.items():
            assert isinstance(inner, (str, dict))
            make(path / name, inner)
    elif what == "file":
        path.touch()
    elif what == "link":
        path.symlink_to("/etc")
    else:
        os.mkfifo(path)


@given(TREES)
def test_whatever_is_in_a_directory_and_whatever_its_name_is_it_can_be_removed(
    tmp_path_factory: pytest.TempPathFactory, what: str | dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("trees")
    make(folder / "gone", what)
    with Root.open(folder) as root:
        directory_swap.remove_tree(root, "gone")
    assert names(folder) == []
    assert Path("/etc/hostname").exists()
