"""Idle files take little memory: a process may follow ten thousands of them, and most are idle."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from pathlib import Path

from sidecars.logshipper.input.discovery import FoundFile, ListedFiles, Listing
from sidecars.logshipper.input.tail import Tail
from sidecars.logshipper.model import steps
from sidecars.logshipper.state.file_state import FileState
from tests.logshipper.input.test_idle_files import QUIET, idle, states
from tests.logshipper.pod import Pod

COUNT = 200  # files
MOST = 950  # bytes of the objects of one file, beside the text of its path
_OWN = (Tail, FileState, tuple, list, dict, set)  # what is looked into


def objects_of(tail: Tail) -> dict[int, object]:
    """Return the objects of a tail by their ids."""
    found: dict[int, object] = {}
    todo: list[object] = [tail]
    while todo:
        one = todo.pop()
        if id(one) not in found and one is not tail.rules and not isinstance(one, type):
            found[id(one)] = one
            todo += gc.get_referents(one) if isinstance(one, _OWN) and one is not tail._ledgers else ()
    return found


def most_bytes(pod: Pod) -> int:
    """Return the bytes of the objects of the largest tail, without its path and what it shares with another one."""
    tails = [objects_of(tail) for tail in pod.follower.tails.values()]
    uses = Counter(key for objects in tails for key in objects)
    own = [[one for key, one in objects.items() if uses[key] == 1] for objects in tails]
    paths = [len(tail.state.path) for tail in pod.follower.tails.values()]
    return max(sum(map(sys.getsizeof, some)) - path for some, path in zip(own, paths, strict=True))


def test_an_idle_file_takes_less_than_a_kilobyte_whatever_the_number_of_sinks(tmp_path: Path) -> None:
    pod = idle(tmp_path, "a", "b", "c", count=COUNT)
    assert most_bytes(pod) <= MOST


async def test_an_idle_file_takes_no_more_after_a_restart(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=COUNT)
    await pod.restart()
    pod.look()
    pod.look(QUIET + 1)
    assert states(pod) == {"idle": COUNT}
    assert most_bytes(pod) <= MOST


def test_a_file_that_was_written_often_remembers_one_end_once_it_is_idle(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=1)
    for number in range(40):
        with (pod.logs / "0.log").open("a") as file:
            file.write(f"{number} is a line that is as long as some lines are in the logs of an app\n" * 20)
        pod.look()
        pod.ship()
    (tail,) = pod.follower.tails.values()
    pod.look(QUIET + 1)
    assert states(pod) == {"idle": 1}
    assert len(tail.fingerprints()) == 3, "the beginning, the position of the sink, and the end"


def test_a_scan_makes_no_object_for_a_file_that_is_followed_and_unchanged(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=50)
    before = len(found_files())
    most = 0
    for _ in pod.follower.scan_steps(first=False):
        most = max(most, len(found_files()) - before)
    assert most <= 1


def test_a_listing_after_the_start_makes_no_second_path_and_key_of_a_file_that_is_looked_for(tmp_path: Path) -> None:
    """The memory of 20,000 paths, keys and numbers was not given back: it lay between what stays."""
    pod = idle(tmp_path, count=3)
    dormant = {tail.key: tail for tail in pod.follower.tails.values()}
    listing = Listing(pod.follower._inputs, pod.follower._volumes, lambda *_: None, {}, dormant)
    steps.run(listing.steps())
    assert listing.files.keys() == dormant.keys()
    for found in listing.files.values():
        assert found.key is dormant[found.key].key
        assert found.path is dormant[found.key].state.path
    assert len({id(key[0]) for key in dormant}) == 1, "the number of their device"


def found_files() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, FoundFile)]


def test_a_listed_file_whose_tail_goes_on_in_another_file_is_not_listed_any_more(tmp_path: Path) -> None:
    pod = idle(tmp_path, count=2)
    one, other = pod.follower.tails.values()
    files, key = ListedFiles(), one.key
    files.add(one)
    files.add(other)
    assert list(files) == [key, other.key]
    assert files[key] == one.as_found()
    one.move(f"{one.state.path}.1", (one.state.device, 77), one.folder)
    assert key not in files
    assert files.get(key) is None
    assert list(files) == [other.key]
    assert not files.has_unchanged(one)
