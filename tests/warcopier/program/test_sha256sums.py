"""SHA256SUMS as the tool `sha256sum` writes and checks it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier.source.sha256sums import parse
from tests.support import examples
from tests.warcopier.support import sha256

DIGEST = sha256(b"x")
NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@examples(25)
@given(NAMES, st.sampled_from([["--text"], ["--binary"], ["--tag"]]))
def test_what_sha256sum_writes_is_read(tmp_path_factory: pytest.TempPathFactory, name: str, how: list[str]) -> None:
    folder = tmp_path_factory.mktemp("sums")
    (folder / name).write_bytes(b"x")
    written = subprocess.run(["sha256sum", *how, "--", name], cwd=folder, capture_output=True, check=True).stdout
    if how == ["--tag"] and written.startswith(b"\\"):
        return  # BSD itself has no such escapes
    assert parse(written.decode(errors="surrogateescape")) == {name: DIGEST}


def test_the_file_of_this_test_can_be_checked_by_the_tool_too(tmp_path: Path) -> None:
    (tmp_path / "shop.war").write_bytes(b"x")
    (tmp_path / "SHA256SUMS").write_text(f"{DIGEST}  shop.war\n")
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
