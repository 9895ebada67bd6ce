"""No modules of a part import each other in a circle, over however many modules. Imports for types count, too."""

from __future__ import annotations

import grimp
import pytest

from tests.support import ROOT

PARTS = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/__init__.py"))


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("sidecars", cache_dir=None, exclude_type_checking_imports=False)


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Return the modules in circles, and between them: those left after all ends are taken away, again and again."""
    left = dict(imports)
    while True:
        imported = {name for names in left.values() for name in names}
        ends = [name for name, names in left.items() if name not in imported or not names & left.keys()]
        if not ends:
            break
        for name in ends:
            del left[name]
    return [set(left)] if left else []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [{"b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("part", PARTS)
def test_no_module_circle_exists(graph: grimp.ImportGraph, part: str) -> None:
    prefix = f"sidecars.{part}."
    modules = {name for name in graph.modules if name.startswith(prefix)}
    assert modules
    assert circles({name: graph.find_modules_directly_imported_by(name) & modules for name in modules}) == []
