"""The version that a WAR states of itself."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier.archive.implementation_version import version_in_archive, version_in_manifest
from tests.warcopier.support import war


def archive(manifest: bytes, *, before: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for number in range(before):
            written.writestr(f"{number}.txt", "")
        written.writestr("META-INF/MANIFEST.MF", manifest)
        written.writestr("WEB-INF/web.xml", "<web-app/>")
    return file.getvalue()


def version_of(data: bytes) -> str:
    return version_in_archive(lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.parametrize(
    ("manifest", "version"),
    [
        ("Manifest-Version: 1.0\r\nImplementation-Version: 2.7.1\r\n", "2.7.1"),
        ("implementation-version:3\n", "3"),
        ("Implementation-Version: 1.2\n .3-SNAP\n SHOT\nOther: x\n", "1.2.3-SNAPSHOT"),
        ("Specification-Version: 4\nBundle-Version: 5\n", "5"),
        ("Manifest-Version: 1.0\n", ""),
        ("Manifest-Version: 1.0\n\nName: a/b\nImplementation-Version: 9\n", ""),  # of a part
        ("Implementation-Version: \x1b[31mred\x00\n", "\\u001b[31mred\\u0000"),
        ("Implementation-Version: " + "9" * 500 + "\n", "9" * 79 + "…"),
        (" continued nothing\n", ""),
        ("", ""),
    ],
)
def test_the_version_is_that_of_the_main_section_printable_and_short(manifest: str, version: str) -> None:
    assert version_in_manifest(manifest.splitlines()) == version
    assert version_of(archive(manifest.encode())) == version


def test_a_war_without_a_manifest_or_with_a_late_or_huge_one_has_no_version() -> None:
    stated = b"Implementation-Version: 1\n"
    assert version_of(war("no manifest")) == ""
    assert version_of(archive(stated, before=99)) == "1"
    assert version_of(archive(stated, before=200)) == ""
    assert version_of(archive(stated + b"X: " + b"y" * (1 << 17))) == ""


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_are_more_than_no_version(junk: bytes, at: int) -> None:
    data = archive(b"Implementation-Version: 1.0\n")
    assert version_of(junk) == ""
    assert version_of(data[: min(at, len(data) - 1)]) == ""
    assert len(version_of(data[:at] + junk + data[at + len(junk) :])) <= 80 * 6
