"""Dead letters: the content of one letter, no torn letter after a failure, and the limit of their files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sidecars.logshipper.delivery.dead_letters import DeadLetters
from tests.logshipper.support import a_batch, a_chunk, full_disk


def letters(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


async def test_a_letter_is_the_record_behind_sink_reason_and_time(tmp_path: Path) -> None:
    batch = a_batch(a_chunk(b"1\n2\n3\n", 10), pod="shop-1")
    await DeadLetters(tmp_path / "letters", "search").append(batch, [(0, "mapping"), (2, 'with "quotes"')])
    first, second = letters(tmp_path / "letters" / "search.ndjson")
    assert list(first) == ["sink", "reason", "rejected", "labels", "id", "file", "pod", "message"]
    assert (first["sink"], first["reason"], first["id"], first["message"]) == ("search", "mapping", "f00d-10", "1")
    assert (second["reason"], second["id"], second["message"]) == ('with "quotes"', "f00d-14", "3")


async def test_the_two_files_of_a_sink_stay_below_the_limit_and_the_newest_letters_are_kept(tmp_path: Path) -> None:
    aside = DeadLetters(tmp_path, "search", limit=4000)
    for number in range(200):
        await aside.append(a_batch(a_chunk(f"{number}\n".encode())), [(0, "no")])
        assert on_disk(tmp_path) <= 4000
    kept = letters(tmp_path / "search.1.ndjson") + letters(tmp_path / "search.ndjson")
    numbers = [int(letter["message"]) for letter in kept]
    assert numbers == list(range(numbers[0], 200))
    assert len(numbers) > 10


async def test_a_letter_that_a_crash_has_torn_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "search.ndjson").write_text('{"sink":"sea')
    await DeadLetters(tmp_path, "search").append(a_batch(a_chunk(b"1\n")), [(0, "no")])
    torn, whole = (tmp_path / "search.ndjson").read_text().splitlines()
    assert torn == '{"sink":"sea'
    assert json.loads(whole)["message"] == "1"


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and directories that are flushed to the disk, in order."""
    names: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", note)
    return names


async def append_one(aside: DeadLetters) -> None:
    await aside.append(a_batch(a_chunk(b"1\n")), [(0, "no")])


async def test_a_letter_is_on_the_disk_with_the_name_of_its_file_and_the_directories(
    tmp_path: Path, flushed: list[str]
) -> None:
    """Else a loss of power takes the whole file, although the position has moved: a seed of the world found that."""
    aside = DeadLetters(tmp_path / "a" / "letters", "search")
    await append_one(aside)
    assert flushed == [tmp_path.name, "a", "search.ndjson", "letters"]
    await append_one(aside)
    assert flushed[4:] == ["search.ndjson"]


async def test_the_name_of_a_file_that_an_earlier_process_has_made_is_flushed_too(
    tmp_path: Path, flushed: list[str]
) -> None:
    """That process may have been killed before it could do that."""
    await append_one(DeadLetters(tmp_path, "search"))
    del flushed[:]
    await append_one(DeadLetters(tmp_path, "search"))
    assert flushed == ["search.ndjson", tmp_path.name]


async def test_the_names_are_flushed_when_a_full_file_gets_another_one(tmp_path: Path, flushed: list[str]) -> None:
    aside = DeadLetters(tmp_path, "search", limit=300)
    await append_one(aside)
    await append_one(aside)
    assert (tmp_path / "search.1.ndjson").exists()
    assert flushed == ["search.ndjson", tmp_path.name] * 2


async def test_a_full_disk_is_told_and_leaves_nothing_torn(tmp_path: Path) -> None:
    aside = DeadLetters(tmp_path, "search")
    await aside.append(a_batch(a_chunk(b"1\n")), [(0, "no")])
    with full_disk(), pytest.raises(OSError, match="No space"):
        await aside.append(a_batch(a_chunk(b"2\n")), [(0, "no")])
    await aside.append(a_batch(a_chunk(b"2\n")), [(0, "no")])
    assert [letter["message"] for letter in letters(tmp_path / "search.ndjson")] == ["1", "2"]
