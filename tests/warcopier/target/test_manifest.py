"""The manifest: it survives a round trip, and no other file is ever taken for one."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.isolation.beneath import Root
from sidecars.warcopier.artifacts import Fingerprint, ManifestEntry
from sidecars.warcopier.target import manifest
from sidecars.warcopier.tomcat_names import MANIFEST

NUMBERS = st.integers(0, 2**63)
FINGERPRINTS = st.builds(Fingerprint, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=[]), min_size=1)
RECORDS = st.dictionaries(NAMES, st.builds(ManifestEntry, st.text(), st.text(), FINGERPRINTS), max_size=4)


@given(RECORDS)
def test_what_is_written_is_what_is_read(known: manifest.Manifest) -> None:
    assert manifest.parse(io.BytesIO(b"".join(manifest.render(known)))) == known


@given(st.binary(max_size=200))
def test_garbage_is_told_from_a_record(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        manifest.parse(io.BytesIO(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"version":2,"artifacts":{}}',
        b'{"version":1}',
        b'{"version":1,"artifacts":[]}',
        b'{"version":1,"artifacts":{"a.war":null}}',
        b'{"version":1,"artifacts":{"a.war":{"sha256":1,"check":"war","file":{}}}}',
        b'{"version":1,"artifacts":{"a.war":{"sha256":"a","check":"war","file":{"size":1}}}}',
        b'{"version":1,"artifacts":{"a.war":{"sha256":"a","check":"war","file":{"size":"1"}}}}',
        b"[" * 100_000,
    ],
)
def test_what_looks_like_a_record_but_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        manifest.parse(io.BytesIO(raw))


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "huge"])
def test_only_a_plain_file_of_a_sane_size_is_read(tmp_path: Path, kind: str) -> None:
    place = tmp_path / MANIFEST
    if kind == "link":
        place.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.touch()
        os.truncate(place, 1 << 30)
    with Root.open(tmp_path) as root, pytest.raises((OSError, ValueError)):
        manifest.load(root, os.geteuid().__eq__)


def test_without_a_record_nothing_is_known(tmp_path: Path) -> None:
    with Root.open(tmp_path) as root:
        assert manifest.load(root, os.geteuid().__eq__) == {}
