"""The settings that a pipeline reads.

`config.input_settings.InputSettings` has all of them. It is not imported here, since imports go one way: the settings
check their values by making parsers, splitters and redactors of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class PipelineSettings(Protocol):
    """Settings of one input; `LOGSHIPPER_FORMAT` is `format`, and so on."""

    @property
    def format(self) -> str: ...
    @property
    def regex(self) -> str | None: ...
    @property
    def time_key(self) -> str | None: ...
    @property
    def time_format(self) -> str | None: ...
    @property
    def level_key(self) -> str | None: ...
    @property
    def multiline(self) -> str: ...
    @property
    def max_line_size(self) -> int: ...
    @property
    def labels(self) -> Mapping[str, str] | None: ...
    @property
    def redact(self) -> str | None: ...
    @property
    def keep(self) -> str | None: ...
    @property
    def drop(self) -> str | None: ...
