"""The size of files and packages: a file is read in one sitting, and a listing is a table of contents."""

from __future__ import annotations

from collections import Counter

from tests.repo.test_texts import tracked
from tests.support import ROOT

MAX_LINES = 350  # of a Python file
MAX_MODULES = 14  # of a package, without `__init__` and `__main__`


def test_no_file_has_too_many_lines() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in tracked("*.py")}
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def test_no_package_has_too_many_modules() -> None:
    modules = Counter(
        str(path.parent.relative_to(ROOT)) for path in tracked("sidecars/*.py") if not path.stem.startswith("__")
    )
    assert {package: count for package, count in modules.items() if count > MAX_MODULES} == {}


def test_every_package_has_a_docstring_that_is_its_picture() -> None:
    """It says more than a line: what goes in, what comes out, and which module to read first."""
    short = [
        str(path.relative_to(ROOT))
        for path in tracked("sidecars/*/__init__.py")
        if len(path.read_text().splitlines()) < 5
    ]
    assert short == []
