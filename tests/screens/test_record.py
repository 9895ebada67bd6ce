"""The record of the screenshots says when one is too old, with the picture and what has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.screens import record

PICTURES = [record.path(picture, scheme).name for picture in record.TEMPLATES for scheme in record.SCHEMES]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with templates and pictures, all recorded."""
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(record, "FOLDER", tmp_path / "docs" / "pictures")
    monkeypatch.setattr(record, "RECORD", tmp_path / "docs" / "pictures" / "screens.json")
    record.FOLDER.mkdir(parents=True)
    for template in {name for templates in record.TEMPLATES.values() for name in templates}:
        (tmp_path / template).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / template).write_text(f"{template} of today")
    for picture in PICTURES:
        (record.FOLDER / picture).write_bytes(picture.encode())
    record.write()
    return tmp_path


def test_a_picture_of_today_is_no_problem(tree: Path) -> None:
    assert tree
    assert record.problems() == []


def test_a_changed_picture_py_makes_that_sidecars_pictures_too_old(tree: Path) -> None:
    (tree / "sidecars/adapter/picture.py").write_text("another column")
    (found,) = record.problems()
    assert found.startswith("page-adapter is of 20")
    assert found.endswith("and sidecars/adapter/picture.py has changed since")


def test_a_changed_page_makes_the_pictures_of_all_sidecars_too_old_and_not_that_of_the_demo(tree: Path) -> None:
    (tree / "sidecars/chassis/page/page.html").write_text("another look")
    assert [problem.partition(" ")[0] for problem in record.problems()] == [f"page-{name}" for name in record.SIDECARS]


def test_a_picture_that_is_missing_or_made_by_hand_is_told(tree: Path) -> None:
    assert tree
    (record.FOLDER / "demo-light.png").unlink()
    (record.FOLDER / "demo-dark.png").write_bytes(b"by hand")
    assert record.problems() == ["demo-light.png is missing", "demo-dark.png is not the picture that was recorded"]


def test_a_picture_that_is_too_large_is_told(tree: Path) -> None:
    assert tree
    (record.FOLDER / "demo-dark.png").write_bytes(bytes(record.LIMIT + 1))
    record.write()
    assert record.problems() == [f"demo-dark.png has {record.LIMIT + 1} bytes; {record.LIMIT} is the most"]


def test_without_a_record_every_picture_is_too_old(tree: Path) -> None:
    assert tree
    record.RECORD.unlink()
    assert len(record.problems()) > len(PICTURES)
