"""The table of fuzzing targets, and their corpora."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_CORPUS = Path(__file__).parent / "corpus"
_PARTS = (
    "chassis",
    "warcopier",
    "logshipper",
    "logshipper_paths",
    "logshipper_state",
    "object_stores",
    "kafka",
    "adapter",
    "ambassador",
    "ways",
    "http2",
    "routing",
)
_TARGETS: dict[str, Target] = {}

Check = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """One target.

    modules  the modules under test
    reach    the least part (percent) of the lines of their functions that the corpus must run: a corpus that stops at
             the first check of a parser proves nothing
    longest  bytes of an input
    """

    name: str
    check: Check
    modules: tuple[str, ...]
    reach: int
    longest: int

    @property
    def part(self) -> str:
        """The module of `tests.fuzz` that has the target."""
        return self.check.__module__.rpartition(".")[2]

    @property
    def corpus_file(self) -> Path:
        return _CORPUS / f"{self.name}.txt"

    def corpus(self) -> list[bytes]:
        """Return the inputs: each line of the file is a literal of bytes."""
        return [ast.literal_eval(line) for line in self.corpus_file.read_text().splitlines()]

    def check_all(self, inputs: Iterable[bytes]) -> None:
        for each in inputs:
            self.check(each)

    def save_corpus(self, inputs: Iterable[bytes]) -> int:
        """Replace the corpus, the shortest input first. Return the number of inputs."""
        lines = sorted({repr(each) for each in inputs}, key=lambda line: (len(line), line))
        self.corpus_file.write_text("".join(f"{line}\n" for line in lines))
        return len(lines)


def target(*modules: str, reach: int = 70, longest: int = 2048) -> Callable[[Check], Check]:
    """Return a decorator that registers a function as the target for the modules, named without `sidecars.`."""

    def register(check: Check) -> Check:
        names = tuple(f"sidecars.{module}" for module in modules)
        _TARGETS[check.__name__] = Target(check.__name__, check, names, reach, longest)
        return check

    return register


def targets(*parts: str) -> dict[str, Target]:
    """Return the targets of the parts, or all, by name. It imports the code under test."""
    for part in parts or _PARTS:
        importlib.import_module(f"tests.fuzz.{part}")
    return {name: each for name, each in _TARGETS.items() if each.part in (parts or _PARTS)}
