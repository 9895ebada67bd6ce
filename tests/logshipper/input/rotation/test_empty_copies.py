"""A file that is seen while it is empty: it may be the copy of a log, before copytruncate has written it."""

from __future__ import annotations

import os
from codecs import BOM_UTF16_LE
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

import pytest

from sidecars.logshipper.input.discovery import FoundFile
from sidecars.logshipper.input.rotation.rotated_file_matching import HeadIndex
from sidecars.logshipper.input.tail import Tail
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append

_LINES = [f"line {number}" for number in range(100)]


def begin(tmp_path: Path, *, shipped: bool) -> tuple[Pod, Path]:
    """Return a Pod whose log has lines, and its copy, which was seen while it was empty."""
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, "".join(f"{line}\n" for line in _LINES))
    pod.look()
    if shipped:
        pod.ship()
    copy = pod.logs / "app.log.1"
    copy.touch()
    pod.look()
    return pod, copy


def everything(pod: Pod) -> list[str]:
    for _ in range(3):
        pod.look()
        pod.ship()
    return pod.got["default"]


@pytest.mark.parametrize("shipped", [True, False])
@pytest.mark.parametrize("looked_at", ["", "a part", "the whole", "the whole, by a poll"])
def test_its_lines_do_not_come_twice(tmp_path: Path, *, shipped: bool, looked_at: str) -> None:
    pod, copy = begin(tmp_path, shipped=shipped)
    whole = pod.log.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    if looked_at == "a part":
        pod.look()
        pod.ship()
    copy.write_bytes(whole)
    if looked_at == "the whole":
        pod.look()
        pod.ship()
    if "poll" in looked_at:
        pod.follower.poll()
        assert pod.follower.needs_scan(), "no name has changed, and yet a scan has to decide"
        pod.ship()
    pod.log.write_bytes(b"")
    pod.look()
    pod.ship()
    append(pod.log, "next\n")
    assert everything(pod) == [*_LINES, "next"]
    assert not pod.dropped()


@pytest.mark.parametrize("shipped", [True, False])
def test_it_is_found_although_the_truncated_log_is_longer_again(tmp_path: Path, *, shipped: bool) -> None:
    pod, copy = begin(tmp_path, shipped=shipped)
    copy.write_bytes(pod.log.read_bytes())
    later = [f"later {number}" for number in range(200)]
    pod.log.write_bytes("".join(f"{line}\n" for line in later).encode())
    assert sorted(everything(pod)) == sorted(_LINES + later)
    assert not pod.dropped()


def test_it_is_read_if_it_is_no_copy(tmp_path: Path) -> None:
    pod, other = begin(tmp_path, shipped=True)
    append(other, "other\n")
    assert everything(pod) == [*_LINES, "other"]
    append(other, "more\n")
    assert everything(pod) == [*_LINES, "other", "more"]


def test_it_is_read_if_it_is_alike_and_nothing_is_truncated_for_long(tmp_path: Path) -> None:
    pod, other = begin(tmp_path, shipped=True)
    append(other, f"{_LINES[0]}\n")
    pod.look()
    assert pod.ship() == []
    pod.look(later=60)
    assert pod.ship() == [_LINES[0]]
    pod.follower.poll()
    assert not pod.follower.has_first_content


@pytest.mark.parametrize("way", ["deleted", "renamed", "renamed out of the globs"])
def test_it_is_read_whatever_happens_to_its_name(tmp_path: Path, way: str) -> None:
    pod, other = begin(tmp_path, shipped=True)
    append(other, "other\n")
    if way == "deleted":
        other.unlink()
    else:
        other.rename(pod.logs / ("app.log.2" if way == "renamed" else "elsewhere"))
    assert everything(pod) == [*_LINES, "other"]
    pod.look_until_gone()
    pod.look(ROTATE_WAIT)
    assert not pod.dropped()


async def test_it_is_read_at_the_end_of_the_process_and_after_a_restart(tmp_path: Path) -> None:
    pod, other = begin(tmp_path, shipped=True)
    append(other, f"{_LINES[0]}\n")
    pod.follower.finish()
    assert pod.ship() == [_LINES[0]]
    (pod.logs / "app.log.2").touch()
    pod.look()
    await pod.restart()
    append(pod.logs / "app.log.2", "after\n")
    pod.look()
    assert pod.ship() == ["after"]


def test_an_empty_file_that_is_closed_to_save_a_descriptor_is_decided_on_too(tmp_path: Path) -> None:
    pod, copy = begin(tmp_path, shipped=True)
    pod.follower.open_files.set_limit(1)
    for number in range(3):
        append(pod.logs / f"app.log.9{number}", f"{number}\n")
        pod.look()
        pod.ship()
    copy.write_bytes(pod.log.read_bytes())
    os.truncate(pod.log, 0)
    assert everything(pod) == [*_LINES, "0", "1", "2"]


def test_a_file_that_stays_empty_costs_no_look_at_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod, copy = begin(tmp_path, shipped=True)
    indexed: list[int] = []
    of = HeadIndex.of

    def counted(tails: Collection[Tail]) -> Generator[None, None, HeadIndex]:
        indexed.append(len(tails))
        return of(tails)

    monkeypatch.setattr(HeadIndex, "of", counted)
    for _ in range(3):
        pod.look()
    assert not indexed
    append(copy, "other\n")
    pod.look()
    assert indexed
    assert pod.ship() == ["other"]


@pytest.mark.parametrize("was_empty", [True, False])
@pytest.mark.parametrize("turns_out", ["alike for long", "another file", "the copy", "gone"])
def test_no_scan_is_awaited_once_it_is_known_what_a_held_back_file_is(
    tmp_path: Path, *, was_empty: bool, turns_out: str
) -> None:
    pod, other = begin(tmp_path, shipped=True)
    if not was_empty:
        other = pod.logs / "app.log.2"
    append(other, f"{_LINES[0]}\n")
    pod.look()
    assert pod.ship() == []
    assert pod.follower.awaits_scan
    if turns_out == "alike for long":
        pod.look(later=60)
    elif turns_out == "another file":
        append(other, "another\n")
    elif turns_out == "the copy":
        other.write_bytes(pod.log.read_bytes())
        os.truncate(pod.log, 0)
    else:
        other.unlink()
    pod.look()
    pod.ship()
    pod.look()
    assert not pod.follower.awaits_scan


def test_it_is_decided_on_if_it_gets_its_content_between_the_listing_and_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*")
    append(pod.log, "".join(f"{line}\n" for line in _LINES))
    pod.look()
    pod.ship()
    copy = pod.logs / "app.log.1"
    copy.touch()
    open_if = pod.follower.access.open_if

    def copied_meanwhile(found: FoundFile, *rest: Any) -> int | None:
        if found.path == str(copy) and not found.size:
            copy.write_bytes(pod.log.read_bytes())
        return open_if(found, *rest)

    monkeypatch.setattr(pod.follower.access, "open_if", copied_meanwhile)
    pod.look()
    pod.log.write_bytes(b"")
    append(pod.log, "next\n")
    assert everything(pod) == [*_LINES, "next"]
    assert not pod.dropped()


def test_a_new_log_that_has_only_a_mark_is_no_copy_of_one_that_had_it(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_PATHS=f"{tmp_path}/logs/app.log*", LOGSHIPPER_ENCODING="auto")
    pod.log.write_bytes(BOM_UTF16_LE)
    pod.look()
    lines = "".join(f"{line}\n" for line in _LINES)
    pod.log.write_bytes(BOM_UTF16_LE + lines.encode("utf-16-le"))
    assert everything(pod) == _LINES
    (pod.logs / "app.log.1").write_bytes(pod.log.read_bytes())
    os.truncate(pod.log, 0)
    pod.log.rename(pod.logs / "app.log.2")
    pod.log.write_bytes(BOM_UTF16_LE)
    pod.look()
    pod.log.write_bytes(BOM_UTF16_LE + "next\n".encode("utf-16-le"))
    assert everything(pod) == [*_LINES, "next"]
    assert not pod.dropped()
