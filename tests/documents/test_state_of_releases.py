"""Upgrade and rollback: this version reads the state of every release, and refuses or ignores what it cannot know.

`state/<version>` has the files that `release_state` wrote with that version. They are what docs/how-to/upgrade.md says.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zlib
from pathlib import Path

import pytest

from sidecars import chassis
from sidecars.chassis.isolation.beneath import Root
from sidecars.chassis.runtime.lifecycle import IOFailed
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.state.snapshot_file import SNAPSHOT
from sidecars.logshipper.state.store import Store
from sidecars.warcopier.target import manifest
from sidecars.warcopier.tomcat_names import MANIFEST
from tests.documents import release_state

RELEASES = sorted(release_state.STATE.iterdir())
release = pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)


def opened(folder: Path) -> Store:
    store = Store(folder, "LOGSHIPPER_STATE_DIR")
    store.open()
    store.close()
    return store


def copied(folder: Path, place: Path) -> Path:
    """Return a copy of the state directory, with the modes that the program gives its files: git keeps none."""
    shutil.copytree(folder / "logshipper", place)
    for path in place.iterdir():
        path.chmod(0o600)
    return place


@release
def test_the_positions_of_every_release_are_read(folder: Path, tmp_path: Path) -> None:
    store = opened(copied(folder, tmp_path / "state"))
    assert not store.is_fresh
    assert store.state.files == {one.generation: one for one in (release_state.ROTATED, release_state.CURRENT)}
    assert store.state.sinks["audit"].sending == release_state.IN_FLIGHT
    assert store.state.sinks["audit"].receipt == release_state.RECEIPT
    assert set(store.state.sinks) == {"audit", "loki"}


@release
def test_the_manifest_of_every_release_is_read(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "warcopier" / MANIFEST, tmp_path)
    (tmp_path / MANIFEST).chmod(0o644)
    with Root.open(str(tmp_path)) as root:
        assert manifest.load(root, lambda user: user == os.getuid()) == release_state.SAVED


def test_what_this_version_writes_is_kept_for_the_next_one(tmp_path: Path) -> None:
    """A difference is a new format: give it a new number, or, before the release, run `release_state` again."""
    release_state.write(tmp_path)
    kept = release_state.STATE / chassis.__version__
    files = [path.relative_to(kept) for path in sorted(kept.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    for file in files:
        assert (tmp_path / file).read_bytes() == (kept / file).read_bytes(), file


# -- a rollback: the state of a later version --------------------------------------------------------------------------


def later_snapshot(folder: Path, version: int) -> None:
    """Add fields that this version does not know to each part of the snapshot."""
    head_line, body_line = (folder / SNAPSHOT).read_bytes().splitlines()
    head, body = json.loads(head_line), json.loads(body_line)
    for part in (body, *body["files"], *body["sinks"].values()):
        part["later"] = {"a": [1]}
    changed = json.dumps(body, separators=(",", ":")).encode()
    assert head["checksum"] == f"{zlib.crc32(body_line):08x}"
    head |= {"version": version, "later": True, "checksum": f"{zlib.crc32(changed):08x}"}
    (folder / SNAPSHOT).write_bytes(b"%b\n%b\n" % (json.dumps(head).encode(), changed))


def test_fields_that_a_later_version_adds_to_the_positions_are_ignored(tmp_path: Path) -> None:
    copied(RELEASES[-1], tmp_path / "state")
    later_snapshot(tmp_path / "state", checkpoint.VERSION)
    store = opened(tmp_path / "state")
    assert store.state.files == {one.generation: one for one in (release_state.ROTATED, release_state.CURRENT)}


def test_positions_in_a_later_format_end_the_start_and_stay_as_they_are(tmp_path: Path) -> None:
    copied(RELEASES[-1], tmp_path / "state")
    later_snapshot(tmp_path / "state", checkpoint.VERSION + 1)
    before = (tmp_path / "state" / SNAPSHOT).read_bytes()
    with pytest.raises(IOFailed, match="has version 2, and this logshipper reads version 1") as refused:
        opened(tmp_path / "state")
    assert refused.value.code == "state-damaged"
    assert (tmp_path / "state" / SNAPSHOT).read_bytes() == before


def test_a_journal_entry_of_a_later_kind_ends_the_start(tmp_path: Path) -> None:
    copied(RELEASES[-1], tmp_path / "state")
    (journal,) = (tmp_path / "state").glob("journal-*")
    with journal.open("ab") as file:
        file.write(checkpoint.journal_line(["later", "kind"]))
    with pytest.raises(IOFailed) as refused:
        opened(tmp_path / "state")
    assert refused.value.code == "state-damaged"


def test_fields_that_a_later_version_adds_to_an_artifact_are_ignored() -> None:
    raw = b"".join(manifest.render(release_state.SAVED)).replace(b'"check":', b'"later":[1],"check":')
    assert manifest.parse(io.BytesIO(raw)) == release_state.SAVED


def test_a_manifest_in_a_later_format_is_not_used() -> None:
    raw = b"".join(manifest.render(release_state.SAVED)).replace(b'"version":1', b'"version":2')
    with pytest.raises(ValueError, match="its first line is not that of a manifest"):
        manifest.parse(io.BytesIO(raw))
