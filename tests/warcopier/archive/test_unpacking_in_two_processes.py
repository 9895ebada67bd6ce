"""An archive unpacked by two processes: the same files, and the same refusals, as by one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime.lifecycle import BadData
from sidecars.warcopier.archive import verification
from sidecars.warcopier.archive.open_directories import OpenDirectories
from sidecars.warcopier.archive.unpacking import ExplodedDirectoryWriter
from sidecars.warcopier.archive.verification import Contents
from sidecars.warcopier.archive.zip_format import BadArchive
from sidecars.warcopier.transfer.fork_pool import ForkPool
from sidecars.warcopier.transfer.progress import no_progress
from tests.support import examples
from tests.warcopier.archives import WIDE, packed, streamed
from tests.warcopier.support import noise, reader_of, tree

if TYPE_CHECKING:
    from sidecars.warcopier.transfer.fork_pool import OnWritten

pytestmark = pytest.mark.processes

FILES = {"WEB-INF/web.xml": b"<web-app/>", "WEB-INF/lib/a.jar": noise(700_000), "text": b"la" * 200_000, "empty": b""}


Unpacked = tuple[Contents, dict[str, bytes]] | str


def unpacked(path: Path, folder: Path, *, alone: bool) -> Unpacked:
    """Unpack a file. Return its contents and the files that it made, or the reason of the refusal."""
    folder.mkdir()
    reader, root = os.open(path, os.O_RDONLY), Root.open(folder)
    read = reader_of(reader)
    try:
        found = verification.summarize(read, path.stat().st_size, WIDE, "unpackable")

        def work(number: int, wrote: OnWritten) -> bytes:
            try:
                sink = ExplodedDirectoryWriter(directories, 0o644, None, wrote)
                return verification.verify_part(read, found, found.parts[number], "unpackable", sink)
            except BadArchive as refusal:
                raise BadData(str(refusal), code="bad-archive") from None

        with OpenDirectories(root) as directories, ForkPool(len(found.parts), work, single_process=alone) as tasks:
            verification.require_no_overlap(tasks.run(no_progress))
    except (BadArchive, BadData) as refusal:
        return str(refusal)
    finally:
        os.close(reader)
        root.close()
    return found.contents, tree(folder)


def both_ways(path: Path) -> tuple[Unpacked, Unpacked]:
    return (unpacked(path, path.parent / "alone", alone=True), unpacked(path, path.parent / "shared", alone=False))


NAMES = st.text("abc/", min_size=1, max_size=4)


DATA = st.binary(max_size=50) | st.just(noise(300_000))


@examples(30)
@given(st.dictionaries(NAMES, DATA, min_size=1, max_size=6))
def test_the_same_comes_out_as_of_one(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("shared") / "a.war"
    path.write_bytes(packed(files))
    one, two = both_ways(path)
    assert isinstance(one, str) == isinstance(two, str)
    if not isinstance(one, str):
        assert one == two


def test_many_files_in_directories_that_both_have_to_make_are_all_there(tmp_path: Path) -> None:
    many = {f"{number % 7}/{number % 5}/{number}": noise(500, number) for number in range(3000)}
    (tmp_path / "a.war").write_bytes(packed(many))
    one, two = both_ways(tmp_path / "a.war")
    assert one == two
    assert not isinstance(two, str)
    assert two[1] == many


@pytest.mark.parametrize("name", [*FILES, "directory"])
def test_damage_anywhere_is_refused_in_the_same_words(tmp_path: Path, name: str) -> None:
    data = bytearray(streamed(FILES))
    at = data.rindex(name.encode()) if name in FILES else len(data) - 10
    data[at - 30] ^= 0xFF  # its checksum, sizes or place in the directory
    (tmp_path / "a.war").write_bytes(data)
    one, two = both_ways(tmp_path / "a.war")
    assert isinstance(one, str)
    assert one == two


def test_damage_within_a_large_file_is_refused_though_its_first_pieces_are_written(tmp_path: Path) -> None:
    data = bytearray(packed({"big": noise(1_000_000)}))
    data[900_000] ^= 0xFF
    (tmp_path / "a.war").write_bytes(data)
    one, two = both_ways(tmp_path / "a.war")
    assert one == two
    assert "is damaged" in str(two)
