"""The release notes of a version are its section of the changelog."""

from __future__ import annotations

import pytest

from tests.support import ROOT
from tools.names import VERSION
from tools.release import notes

CHANGELOG = """# Changelog

## 1.1.0 (unreleased)

### All sidecars

- New.

## 1.0.0 (2026-01-02)

- First.

## 0.9.0 (2026-01-01)
"""


def test_the_notes_are_the_section_of_the_version_and_no_other() -> None:
    assert notes.section(CHANGELOG, "1.1.0") == "### All sidecars\n\n- New."
    assert notes.section(CHANGELOG, "1.0.0") == "- First."


def test_headings_go_up_and_the_way_to_verify_the_images_follows() -> None:
    assert notes.notes(CHANGELOG, "1.1.0").startswith("## All sidecars\n\n- New.\n\n## Verify\n")


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("2.0.0", "has no section of 2.0.0; it has 1.1.0, 1.0.0, 0.9.0"),
        ("1.1.0", "calls 1.1.0 unreleased"),
        ("0.9.0", "says nothing about 0.9.0"),
    ],
)
def test_no_release_is_made_of_a_version_that_is_not_written_about(version: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        notes.section(CHANGELOG, version, released=True)


def test_a_tag_of_another_version_makes_no_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert notes.main(["--tag", "v99.0.0"]) == 1
    assert capsys.readouterr().err == f"the tag is v99.0.0, and the version in pyproject.toml is {VERSION}\n"


def test_this_version_has_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert notes.main([]) == 0
    assert capsys.readouterr().out.startswith("## ")
    assert "docs/how-to/verify-an-image.md" in notes.notes((ROOT / "CHANGELOG.md").read_text(), VERSION)
