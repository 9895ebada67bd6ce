"""SHA256SUMS: what `sha256sum` writes is read, whatever the names are; anything else is refused with its line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.warcopier.source.sha256sums import parse
from tests.warcopier.support import sha256

DIGEST = sha256(b"x")
NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@settings(max_examples=25)
@given(NAMES, st.sampled_from([["--text"], ["--binary"], ["--tag"]]))
def test_what_sha256sum_writes_is_read(tmp_path_factory: pytest.TempPathFactory, name: str, how: list[str]) -> None:
    folder = tmp_path_factory.mktemp("sums")
    (folder / name).write_bytes(b"x")
    written = subprocess.run(["sha256sum", *how, "--", name], cwd=folder, capture_output=True, check=True).stdout
    if how == ["--tag"] and written.startswith(b"\\"):
        return  # BSD itself has no such escapes
    assert parse(written.decode(errors="surrogateescape")) == {name: DIGEST}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("\n# made by the build\n\n", {}),
        (f"{DIGEST}  shop.war\n", {"shop.war": DIGEST}),
        (f"{DIGEST.upper()} *./shop.war", {"shop.war": DIGEST}),
        (f"{DIGEST}  shop.war\n{DIGEST}  shop.war\n", {"shop.war": DIGEST}),
        (f"{DIGEST}  a b  c.war\r\n", {"a b  c.war": DIGEST}),
        (f"SHA256 (shop (1).war) = {DIGEST}\n", {"shop (1).war": DIGEST}),
    ],
)
def test_each_form_is_understood(text: str, found: dict[str, str]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{DIGEST}", "line 1 is not a digest and a name"),
        (f"{DIGEST} shop.war", "line 1 is not a digest and a name"),
        (f"\n{DIGEST[1:]}  shop.war", "line 2 is not a digest and a name"),
        ("<html>404</html>", "line 1 is not a digest and a name"),
        ("SHA256 (shop.war)", "line 1 is not a digest and a name"),
        (f"{DIGEST}  shop.war\n{sha256(b'y')}  shop.war", "line 2 gives shop.war another digest"),
    ],
)
def test_what_is_none_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@given(st.text())
def test_whatever_is_in_it_the_answer_is_digests_or_a_reason(text: str) -> None:
    try:
        found = parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - the other outcome is as good
    else:
        assert all(len(digest) == 64 for digest in found.values())


def test_the_file_of_this_test_can_be_checked_by_the_tool_too(tmp_path: Path) -> None:
    (tmp_path / "shop.war").write_bytes(b"x")
    (tmp_path / "SHA256SUMS").write_text(f"{DIGEST}  shop.war\n")
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
