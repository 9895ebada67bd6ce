"""Tests, modules and paths that a text names exist: in Markdown, docstrings and comments."""

from __future__ import annotations

import re
from functools import cache

from tests.repo.test_texts import tracked
from tests.support import ROOT

HISTORY = {"CHANGELOG.md"}  # an entry names things as they were called then
EXAMPLE_TESTS = {"test_clock", "test_time_text"}
EXAMPLE = "clock"  # the sidecar that CONTRIBUTING adds as an example
PATTERNS = ("*.md", "*.py", "*.toml", "Makefile", "*Dockerfile*", ".ci/*")
DOTTED = re.compile(r"\b(?!sidecars\.invalid\b)(?:sidecars|tests|benchmarks)(?:\.[a-z_0-9]+)+(?:\.[A-Za-z_]\w*)*")
PATH = re.compile(r"(?<![\w./-])(?:sidecars|tests|demo|benchmarks|examples|infra|docs|deploy)/[\w./-]*\w")


FUNCTION = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)


@cache
def known_tests() -> frozenset[str]:
    """Return the names of all test functions, and of all test files without `.py`."""
    files = tracked("tests/*.py")
    return frozenset(
        {name for path in files for name in FUNCTION.findall(path.read_text())} | {path.stem for path in files}
    )


def texts(pattern: str) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in tracked(pattern) if path.name not in HISTORY}


def all_texts() -> dict[str, str]:
    return {name: text for pattern in PATTERNS for name, text in texts(pattern).items()}


def test_every_test_that_a_markdown_file_names_exists() -> None:
    missing = [
        f"{name}: {found}"
        for name, text in texts("*.md").items()
        for found in re.findall(r"\b(test_\w+)(?:\.py)?\b", text)
        if found not in known_tests().union(FUNCTION.findall(text)) and found not in EXAMPLE_TESTS
    ]
    assert missing == []


def exists(dotted: str) -> bool:
    """Return True if the dotted name is a module or package, or a name in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:count])
        file = place.with_suffix(".py") if place.with_suffix(".py").is_file() else place / "__init__.py"
        if file.is_file() or (place.is_dir() and count == len(parts)):
            rest = parts[count:]
            return not rest or rest[0].startswith("__") or bool(re.search(rf"\b{rest[0]}\b", file.read_text()))
    return False


@cache
def names_of_the_library_chart() -> tuple[str, ...]:
    """Return the templates and values of the chart `sidecars`, such as `sidecars.initContainers`."""
    chart = ROOT / "deploy/helm/sidecars"
    templates = re.findall(r'define "(sidecars\.[\w.]+)"', (chart / "templates/_sidecars.tpl").read_text())
    keys = re.findall(r"^(\w+):", (chart / "values.yaml").read_text(), re.MULTILINE)
    return (*templates, *(f"sidecars.{key}" for key in keys))


def is_of_the_library_chart(dotted: str) -> bool:
    return any(name.startswith(dotted) for name in names_of_the_library_chart())


def test_every_module_that_a_text_names_exists() -> None:
    missing = [
        f"{name}: {found}"
        for name, text in all_texts().items()
        for found in DOTTED.findall(text)
        if EXAMPLE not in found and not exists(found) and not is_of_the_library_chart(found)
    ]
    assert missing == []


def test_every_path_that_a_text_names_exists() -> None:
    missing = [
        f"{name}: {found}"
        for name, text in all_texts().items()
        for found in PATH.findall(text)
        if EXAMPLE not in found and not list(ROOT.glob(f"{found}*"))
    ]
    assert missing == []
