"""The two forms of the data path: plain Python, and compiled as in the images. All other tests run in both."""

from __future__ import annotations

import ast
import os

from compile import sources
from sidecars.ambassador.status import upstream_status
from tests.support import ROOT


def test_the_form_that_was_asked_for_is_the_one_under_test() -> None:
    assert upstream_status.form() == os.environ.get("FORM", "plain")


def test_no_function_that_is_compiled_gives_two_kinds_of_errors_one_name() -> None:
    """Mypyc gives a name the type of its first `except` clause, and raises TypeError in the second."""
    wrong = []
    for module in sources("ambassador"):
        for function in ast.walk(ast.parse((ROOT / module).read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                clauses = [each for each in ast.walk(function) if isinstance(each, ast.ExceptHandler) and each.name]
                names = [each.name for each in clauses]
                wrong += [f"{module}.{function.name}: {name}" for name in set(names) if names.count(name) > 1]
    assert wrong == []
