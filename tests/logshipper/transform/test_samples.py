"""Samples of real programs, and the recipes of docs/how-to/shape-logs.md, which are the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.logshipper.pipelines import shipped
from tests.support import ROOT

_SAMPLES = Path(__file__).parents[1] / "samples"
_NAMES = sorted(path.stem for path in _SAMPLES.glob("*.log"))
_SHAPING = (ROOT / "docs/how-to/shape-logs.md").read_text()


def settings_of(name: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (_SAMPLES / f"{name}.env").read_text().splitlines())


def records_of(name: str) -> list[str]:
    return (_SAMPLES / f"{name}.ndjson").read_text().splitlines()


@pytest.mark.parametrize("name", _NAMES)
def test_the_lines_of_a_program_become_the_records_that_are_wanted(name: str) -> None:
    got = shipped((_SAMPLES / f"{name}.log").read_bytes(), **settings_of(name))
    for record in got:
        del record["id"]
    assert got == [json.loads(line) for line in records_of(name)]


@pytest.mark.parametrize("name", _NAMES)
def test_the_recipe_of_a_program_is_its_sample(name: str) -> None:
    found = re.search(rf"^<!-- {name} -->\n.*?^```\n(.*?)^```$", _SHAPING, re.DOTALL | re.MULTILINE)
    assert found, "shape-logs.md has no recipe"
    log = (_SAMPLES / f"{name}.log").read_text().splitlines()
    block = [
        *(_SAMPLES / f"{name}.env").read_text().splitlines(),
        *(f"< {line}" for line in log),
        f"> {records_of(name)[0]}",
    ]
    assert found[1].splitlines() == block


def test_there_is_no_recipe_without_a_sample() -> None:
    assert sorted(re.findall(r"^<!-- (\S+) -->$", _SHAPING, re.MULTILINE)) == _NAMES
    assert {path.suffix for path in _SAMPLES.iterdir()} == {".log", ".env", ".ndjson"}
