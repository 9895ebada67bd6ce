"""The facts of ARCHITECTURE.md that can be checked: modules, layers, states, exit codes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from sidecars.ambassador.balancing import outlier_ejection
from sidecars.chassis.runtime import lifecycle
from tests.support import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text()
SIDECARS = ("adapter", "ambassador", "chassis", "logshipper", "top", "warcopier")
MODULE = re.compile(rf"`((?:{'|'.join(SIDECARS)})/[\w/]+)`")
STATES = re.compile(r"^States of .*\(`(?P<module>[\w/]+)`\): (?P<states>.+)\.$", re.MULTILINE)
LAYERS = re.compile(r"^- \*\*(?P<name>\w+)\*\*: (?P<layers>`.+?)(?=^- |^$)", re.MULTILINE | re.DOTALL)


def source(module: str) -> Path:
    path = ROOT / "sidecars" / module
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("module", sorted(set(MODULE.findall(TEXT))))
def test_a_module_that_is_named_exists(module: str) -> None:
    assert source(module).is_file()


def test_the_packages_in_the_table_of_pure_modules_exist() -> None:
    rows = re.findall(rf"^\| ({'|'.join(SIDECARS)}) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
    named = [(name, item) for name, *cells in rows for cell in cells for item in re.findall(r"`([\w/]+)`", cell)]
    missing = [(name, item) for name, item in named if not any(_named(name, item))]
    assert len(named) > 20
    assert missing == []


def _named(sidecar: str, item: str) -> list[Path]:
    """The package or module of that name: from the sidecar's root, or, of one part, inside any of its packages."""
    root = ROOT / "sidecars" / sidecar
    return [*root.glob(item), *root.glob(f"{item}.py"), *root.glob(f"*/{item}.py")]


@pytest.mark.parametrize("name", SIDECARS)
def test_the_layers_are_those_of_the_contracts(name: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each.get("containers") == [f"sidecars.{name}"]]
    section = TEXT.partition("<!-- layers")[2]
    (drawn,) = [match["layers"] for match in LAYERS.finditer(section) if match["name"] == name]
    assert re.findall(r"`([^`]+)`", drawn) == contract["layers"]


def test_the_states_of_an_endpoint_are_those_of_outlier_ejection() -> None:
    section = TEXT.partition("## The life of an endpoint")[2].partition("\n## ")[0]
    listed = re.search(r"States: (.+)\.", section)
    assert listed
    states = re.findall(r"`(\w+)`", listed[1])
    assert [getattr(outlier_ejection, state) for state in states]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `(\w+)` \|$", section, re.MULTILINE)
    assert {state for row in rows for state in row} == set(states)


@pytest.mark.parametrize(("module", "states"), STATES.findall(TEXT))
def test_states_that_are_listed_are_those_of_the_module(module: str, states: str) -> None:
    text = source(module).read_text()
    for state in re.findall(r"`([\w ]+)`", states):
        assert state in text, f"{module} has no state {state!r}"


def test_the_exit_codes_are_those_of_the_failures() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", TEXT, re.MULTILINE)
    failures = [lifecycle.Failure, lifecycle.BadSettings, lifecycle.BadData, lifecycle.Unavailable, lifecycle.IOFailed]
    assert {name: int(code) for code, name in rows} == {cls.__name__: cls.exit_code for cls in failures}


def test_each_decision_is_in_the_index_with_its_title() -> None:
    folder = ROOT / "docs/explanation/decisions"
    titles = {path.name: path.read_text().partition("\n")[0] for path in folder.glob("0*.md")}
    index = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| .+ \|$", (folder / "README.md").read_text(), re.MULTILINE)
    assert {name: f"# {number}. {title}" for number, title, name in index} == titles


def test_the_glossary_has_each_term_once() -> None:
    section = TEXT.partition("## Glossary")[2].partition("\n## ")[0]
    terms = [term for row in re.findall(r"^\| ([^|*]+) \|", section, re.MULTILINE) for term in row.split(", ")]
    assert len(terms) > 40
    assert len(terms) == len(set(terms))
