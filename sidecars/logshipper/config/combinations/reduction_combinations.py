"""Checks of the settings that reduce the events of an input, for names that records have twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecars.logshipper.config.input_settings import InputSettings

Variable = Callable[[str, str], str]
"""Returns the environment variable of a field for the input of that name."""


_SAMPLE_RATE = "sample_rate"


def check(one: InputSettings, variable: Variable) -> Iterator[str]:
    """Yield a sentence for each setting that gives the records of an input with SAMPLE a second `sample_rate`."""
    sample = variable("sample", one.name)
    if _SAMPLE_RATE in (one.labels or {}):
        yield f"{variable('labels', one.name)} and {sample} both have {_SAMPLE_RATE}: a record has it once"
    if one.path_fields is not None and f"{{{_SAMPLE_RATE}}}" in one.path_fields:
        yield f"{variable('path_fields', one.name)} and {sample} both have {_SAMPLE_RATE}: a record has it once"
