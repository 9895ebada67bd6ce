"""Which lines of the code under test an input runs, by `sys.settrace`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

Step = tuple[str, int, int]
"""File, and the numbers of two lines that ran one after the other in one call. 0: the call began."""


def steps_of(run: Callable[[], object], modules: Iterable[str]) -> set[Step]:
    """Call `run` and return the steps that it made in the modules."""
    files = {_file(module) for module in modules}
    steps: set[Step] = set()
    last: dict[FrameType, int] = {}

    def on_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        last[frame] = 0
        return on_line

    def on_line(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            steps.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        run()
    finally:
        sys.settrace(before)
    return steps


def lines_of_functions(module: str) -> Iterator[tuple[str, int]]:
    """Yield the lines (file, number) of all functions of a module, without their `def` lines."""
    file = _file(module)
    todo: list[CodeType] = [compile(Path(file).read_text(), file, "exec")]
    while todo:
        code = todo.pop()
        todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_flags & inspect.CO_NEWLOCALS and code.co_flags & inspect.CO_OPTIMIZED:
            yield from ((file, line) for _, _, line in code.co_lines() if line and line != code.co_firstlineno)


def _file(module: str) -> str:
    return str(inspect.getsourcefile(importlib.import_module(module)))
