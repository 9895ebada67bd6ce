"""A state directory that somebody else can write to: links, hard links, garbage, and paths that lead elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.model.fingerprint import Fingerprint, prefix_fingerprint
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state import store as store_module
from sidecars.logshipper.state.checkpoint import State
from sidecars.logshipper.state.file_state import FileState
from sidecars.logshipper.state.store import Store
from tests.logshipper.pod import ROTATE_WAIT, Pod
from tests.logshipper.support import append
from tests.support import examples

SECRET = "a secret\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text(SECRET)
    return path


def opened(folder: Path) -> Store:
    store = Store(folder, "LOGSHIPPER_STATE_DIR")
    try:
        store.open()
    except IOFailed:
        store.close()
        raise
    return store


@pytest.mark.parametrize("name", ["lock", "positions.json", "journal-1"])
@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(folder: Path, victim: Path, name: str, kind: str) -> None:
    if name == "journal-1":
        (folder / "positions.json").write_bytes(checkpoint.dump(State(), 1))
    getattr(folder / name, kind)(victim)
    with pytest.raises(IOFailed, match=f"{name}.*(link|second name)"):
        opened(folder)
    assert victim.read_text() == SECRET


def _is_untouched(victim: Path) -> bool:
    return victim.read_text() == SECRET


def _is_link(path: Path) -> bool:
    return path.is_symlink()


def _plant_link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["positions.json.new", "journal-1", "journal-2", "positions.json"])
async def test_a_link_that_is_planted_later_is_replaced_and_never_written_through(
    folder: Path, victim: Path, name: str
) -> None:
    store = opened(folder)
    for _ in range(2):
        _plant_link(folder / name, victim)
        assert await store.save()
        store.append(checkpoint.gone_entry("f1"))
    store.close()
    assert _is_untouched(victim)
    assert not _is_link(folder / "positions.json")


def test_a_fifo_in_the_place_of_a_snapshot_is_never_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "positions.json")
    with pytest.raises(IOFailed, match=r"positions\.json cannot be read"):
        opened(folder)


def _swap(folder: Path, aside: Path, elsewhere: Path) -> None:
    elsewhere.mkdir()
    folder.rename(aside)
    folder.symlink_to(elsewhere)


async def test_a_state_directory_that_is_swapped_for_a_link_is_still_the_one_that_was_opened(
    folder: Path, tmp_path: Path
) -> None:
    store = opened(folder)
    _swap(folder, tmp_path / "was", tmp_path / "elsewhere")
    assert await store.save()
    store.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "was" / "positions.json").exists()


# -- paths that lead elsewhere -----------------------------------------------------------------------------------------


def planted(pod: Pod, path: Path, *, size: int = 0, **more: Any) -> None:
    """Put a snapshot into the state directory that names this file."""
    pod.kill()
    status = path.stat()
    file = FileState("f00d", str(pod.log), str(path), "default", status.st_dev, status.st_ino, size, **more)
    (pod.state_dir / "positions.json").write_bytes(checkpoint.dump(State({file.generation: file}), 1))


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("place", ["victim", "logs/../victim", "logs/sub/victim", "logs/victim.key"])
def test_a_saved_path_cannot_name_a_file_that_no_glob_matches(tmp_path: Path, place: str, *, delete: bool) -> None:
    pod = Pod(tmp_path)
    pod.delete = delete
    path = tmp_path / place
    (pod.logs / "sub").mkdir()
    path.write_text(SECRET)
    planted(pod, path)
    pod.begin()
    append(pod.logs / "innocent.log", "1\n")
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
    assert pod.ship() == ["1"]
    assert path.read_text() == SECRET


def test_a_saved_path_cannot_name_a_file_that_is_excluded_even_if_its_first_byte_is_known(tmp_path: Path) -> None:
    pod = Pod(tmp_path, LOGSHIPPER_EXCLUDE="*/key*")
    (pod.logs / "key.log").write_text(SECRET)
    planted(pod, pod.logs / "key.log", size=1, prefix=prefix_fingerprint(SECRET[:1].encode()))
    pod.begin()
    for _ in range(3):
        pod.look(ROTATE_WAIT + 1)
    assert pod.ship() == []


def test_a_saved_link_is_not_followed(tmp_path: Path, victim: Path) -> None:
    pod = Pod(tmp_path)
    planted(pod, victim)
    pod.log.symlink_to(victim)
    snapshot = json.loads((pod.state_dir / "positions.json").read_bytes().splitlines()[1])
    assert snapshot["files"][0]["path"] == str(victim)
    state = State({"f00d": FileState("f00d", str(pod.log), str(pod.log), "default", *key(victim))})
    (pod.state_dir / "positions.json").write_bytes(checkpoint.dump(state, 1))
    pod.begin()
    pod.look()
    assert pod.ship() == []


def key(path: Path) -> tuple[int, int]:
    return path.stat().st_dev, path.stat().st_ino


def test_a_saved_input_does_not_choose_the_redaction_of_another_file(tmp_path: Path) -> None:
    pod = Pod(
        tmp_path,
        LOGSHIPPER_PATHS="",
        LOGSHIPPER_A_PATHS=f"{tmp_path}/other/*.log",
        LOGSHIPPER_B_PATHS=f"{tmp_path}/logs/app.log*",
    )
    append(pod.log, "1\n")
    pod.kill()
    state = State({"f00d": FileState("f00d", str(pod.log), str(pod.log), "a", *key(pod.log))})
    (pod.state_dir / "positions.json").write_bytes(checkpoint.dump(state, 1))
    pod.begin()
    assert [tail.state.input for tail in pod.follower.tails.values()] == ["b"]


# -- garbage -----------------------------------------------------------------------------------------------------------

_WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, -1, 2**70, 1.5, True, "", "x" * 70, "/../x", [], {}, [[]], "\0", float("inf"), "🙂", 2**61]
)


def _mutations(value: Any, wrong: Any) -> Iterator[Any]:
    """Yield the value with each of its parts replaced by a wrong one, and with the part missing."""
    yield wrong
    if isinstance(value, dict):
        for name, part in value.items():
            yield {other: item for other, item in value.items() if other != name}
            yield from ({**value, name: other} for other in _mutations(part, wrong))
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield value[:at] + value[at + 1 :]
            yield from ([*value[:at], other, *value[at + 1 :]] for other in _mutations(part, wrong))


def _snapshot() -> Any:
    mark = Fingerprint(3, 3, "aa")
    file = FileState("f00d", "/logs/a.log", "/logs/a.log", "default", 1, 2, 3, mark, mark, {"default": mark})
    state = State({"f00d": file})
    checkpoint.apply(state, ["send", "default", [[["f00d", 3, 3, 5, False]]]])
    return json.loads(checkpoint.dump(state, 1).splitlines()[1])


def _write(folder: Path, body: Any, *entries: Any) -> None:
    text = json.dumps(body)
    head = {"version": checkpoint.VERSION, "journal": 1, "checksum": checkpoint._checksum(text.encode())}
    (folder / "positions.json").write_text(f"{json.dumps(head)}\n{text}\n")
    (folder / "journal-1").write_bytes(b"".join(checkpoint.journal_line(entry) for entry in entries))


@examples(60)
@given(_WRONG, st.data())
def test_a_snapshot_with_a_right_checksum_and_any_wrong_value_is_a_sentence_or_harmless(
    wrong: Any, data: st.DataObject
) -> None:
    body = data.draw(st.sampled_from(list(_mutations(_snapshot(), wrong))))
    with tempfile.TemporaryDirectory() as folder:
        _started(Path(folder), body)


@examples(60)
@given(_WRONG, st.data())
def test_a_journal_with_a_right_checksum_and_any_wrong_value_is_a_sentence_or_harmless(
    wrong: Any, data: st.DataObject
) -> None:
    body = _snapshot()
    file = checkpoint._file_state({**body["files"][0]})
    entry = data.draw(
        st.sampled_from(
            [
                json.loads(json.dumps(whole))
                for whole in (
                    checkpoint.file_entry(file),
                    checkpoint.done_entry("default", {"f00d": Fingerprint(3, 3, "aa")}, None),
                    ["send", "default", [[["f00d", 3, 3, 5, False]]]],
                )
            ]
        )
    )
    mutated = data.draw(st.sampled_from(list(_mutations(entry, wrong))))
    with tempfile.TemporaryDirectory() as folder:
        _started(Path(folder), body, mutated)


def _started(folder: Path, body: Any, *entries: Any) -> None:
    """Start with this state. The only failure is IOFailed with a sentence; else the innocent file is shipped."""
    (folder / "state").mkdir()
    (folder / "logs").mkdir()
    _write(folder / "state", body, *entries)
    append(folder / "logs" / "innocent.log", "1\n")
    before, sentence = list(Pod.alive), ""
    try:
        pod = Pod(folder)
    except IOFailed as error:
        sentence = str(error)
    else:
        pod.look(ROTATE_WAIT + 1)
        assert pod.ship() == ["1"]
        pod.kill()
    Pod.alive[:] = before
    assert not sentence or "positions.json" in sentence or "journal-1" in sentence


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"\xff\xfe\n\n"])
def test_deep_and_huge_values_are_a_sentence(folder: Path, content: bytes) -> None:
    checksum = checkpoint._checksum(content).encode()
    (folder / "positions.json").write_bytes(b'{"version":1,"journal":1,"checksum":"%b"}\n%b\n' % (checksum, content))
    with pytest.raises(IOFailed, match=r"positions\.json"):
        opened(folder)
    (folder / "positions.json").write_bytes(checkpoint.dump(State(), 1))
    (folder / "journal-1").write_bytes(checksum + b" " + content + b"\n")
    with contextlib.suppress(IOFailed):
        opened(folder).close()


def test_a_sparse_snapshot_of_four_terabytes_is_torn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_LARGEST_SNAPSHOT", 1 << 20)
    (folder / "positions.json").write_bytes(checkpoint.dump(State(), 1))
    os.truncate(folder / "positions.json", 4 << 40)
    with contextlib.suppress(IOFailed):
        opened(folder).close()


async def test_journals_with_absurd_numbers_stop_nothing(folder: Path) -> None:
    store = opened(folder)
    assert await store.save()
    store.close()
    for number in ("9" * 15, "9" * 200, "0", "99999"):
        (folder / f"journal-{number}").write_bytes(b"")
    store = opened(folder)
    assert await store.save()
    store.close()
    opened(folder).close()
