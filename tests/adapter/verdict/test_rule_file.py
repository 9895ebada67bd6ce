"""A file of rules: read again when it changes, and bad files leave the earlier rules in force."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecars.adapter.setting_types import RulesText
from sidecars.adapter.verdict import rule_file
from sidecars.adapter.verdict.rule_file import ReloadingRules
from tests.hostile_files import NO_SMALL_FILES, unblocked
from tests.support import wait_until


def book_of(file: Path) -> ReloadingRules:
    return ReloadingRules(RulesText(file.read_text().rstrip(), str(file)), "ADAPTER_RULES")


def names(book: ReloadingRules) -> list[str]:
    return [result.name for result in book.evaluator().no_data_results("")]


def replace(file: Path, text: str) -> None:
    """Replace the file as Kubernetes replaces those of a ConfigMap: by a new file of the same name."""
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


def test_a_file_of_rules_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "rules"
    file.write_text("a: up == 1\n")
    book = book_of(file)
    before = book.evaluator()
    assert book.evaluator() is before

    replace(file, "b: up == 1\nc: up == 1\n")

    assert names(book) == ["b", "c"]
    assert "new rules are in force" in caplog.text


BAD_FILES = [
    "b: up =! 1",
    "",
    "\xff",
    'b: up{job="\\U99999999"} == 1',
    'b: up{job=~"\\ud800"} == 1',
    "b: " + " + ".join(["up"] * 1200) + " < 1",
    "b: " + "(" * 2000,
    "b: up < " + "9" * 5000 + "s",
    "b: up < 0x" + "F" * 300,
    "b: up\n" * 100_000,
    "#" * (2**20 + 1),
    "#" * (2**22 + 1),
]


@pytest.mark.parametrize("text", BAD_FILES, ids=[text[:20] for text in BAD_FILES])
def test_a_bad_new_file_leaves_the_old_rules_in_force_and_says_so_once(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rules"
    file.write_text("a: up == 1\n")
    book = book_of(file)

    file.with_name("new").write_bytes(text.encode("latin-1"))
    file.with_name("new").replace(file)

    assert book.problem.startswith(f"ADAPTER_RULES_FILE={file}: ")
    assert names(book) == names(book) == ["a"]
    assert "defect" not in caplog.text
    assert caplog.text.count("the earlier ones stay in force") == 1
    replace(file, "c: up == 1")
    assert names(book) == ["c"]
    assert not book.problem


def test_a_defect_while_rules_are_read_again_leaves_the_old_in_force_and_shows_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rules"
    file.write_text("a: up == 1\n")
    book = book_of(file)

    def fail(_text: str) -> None:
        raise RecursionError

    assert names(book) == ["a"]
    monkeypatch.setattr(rule_file, "parse_rules", fail)
    replace(file, "b: up == 1")

    assert names(book) == ["a"]
    assert book.problem == f"ADAPTER_RULES_FILE={file}: it cannot be used: RecursionError"
    assert "RecursionError" in caplog.text
    assert "the earlier ones stay in force" in caplog.text


@pytest.mark.parametrize("kind", NO_SMALL_FILES)
def test_what_is_no_small_file_is_refused_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "rules"
    file.write_text("a: up == 1\n")
    book = book_of(file)
    file.unlink()
    put, reason = NO_SMALL_FILES[kind]
    put(file)

    assert re.search("it is larger than" if kind == "huge" else reason, unblocked(lambda: book.problem))
    assert names(book) == ["a"]


def test_a_file_that_changed_while_the_program_started_is_read(tmp_path: Path) -> None:
    file = tmp_path / "rules"
    file.write_text("b: up == 1\n")

    book = ReloadingRules(RulesText("a: up == 1", str(file)), "ADAPTER_RULES")

    assert names(book) == ["b"]


def test_a_file_that_vanishes_leaves_the_rules_in_force_and_its_return_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "rules"
    file.write_text("a: up == 1\n")
    book = book_of(file)
    before = book.evaluator()
    file.unlink()
    assert book.evaluator() is before
    assert "No such file" in book.problem

    file.write_text("a: up == 1\n")

    assert book.evaluator() is before
    assert wait_until(lambda: not book.problem, "no problem any more")
