"""Every input of the corpora once more, without atheris. An input that broke a target belongs there, too."""

from __future__ import annotations

import pytest

from tests.fuzz.coverage import lines_of_functions, steps_of
from tests.fuzz.registry import targets

TARGETS = targets()
LARGEST = 100_000  # bytes of a corpus


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_holds_and_reaches_the_code_under_test(name: str) -> None:
    one = TARGETS[name]
    lines = {line for module in one.modules for line in lines_of_functions(module)}
    steps = steps_of(lambda: one.check_all(one.corpus()), one.modules)
    reached = {(file, line) for file, _, line in steps}
    share = 100 * len(lines & reached) / len(lines)
    assert share >= one.reach, f"the corpus runs {share:.0f} % of the lines of {', '.join(one.modules)}"


def test_there_are_targets_enough_and_no_corpus_without_one() -> None:
    assert len(TARGETS) >= 18
    folder = next(iter(TARGETS.values())).corpus_file.parent
    assert {path.stem for path in folder.iterdir()} == set(TARGETS)
    sizes = {path.stem: path.stat().st_size for path in folder.iterdir()}
    assert {name for name, size in sizes.items() if size > LARGEST} == set()
