"""The paths of our own files, from the settings: those that this process writes, and keys and secrets that it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from sidecars.chassis.config.settings import DEFAULT_NAME
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.volumes.own_files import OwnFiles, OwnFolder

_STATE = re.compile(r"positions\.json(\.new)?|journal-\d+|lock")
_LETTERS = r"(\.1)?\.ndjson"
_SINK = r"(.+_)?{name}(\.\d{{6,}})?\.ndjson"
_FILE = "_FILE"  # the end of the name of a variable that names a file


class _Settings(Protocol):
    @property
    def state_dir(self) -> Path: ...
    @property
    def sinks(self) -> dict[str, SinkSettings]: ...


def own_files(settings: _Settings, environ: Mapping[str, str]) -> OwnFiles:
    """Return our own files: of the settings, and each file that a variable `NAME_FILE` names."""
    return OwnFiles({*_files(settings), *_secret_files(environ)}, _folders(settings))


def _files(settings: _Settings) -> Iterator[str]:
    """Yield each path among the settings; a directory among them does no harm."""
    for holder in (settings, *settings.sinks.values()):
        for value in vars(holder).values():
            if isinstance(value, Path):
                yield str(value)


def _secret_files(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if name.endswith(_FILE) and value.startswith("/") and not name.endswith("_DONE_FILE"):
            yield value


def _folders(settings: _Settings) -> Iterator[OwnFolder]:
    yield OwnFolder(str(settings.state_dir), _STATE)
    for name, sink in settings.sinks.items():
        if sink.url.scheme == "file":
            own = "logshipper" if name == DEFAULT_NAME else name
            yield OwnFolder(str(sink.url.target), re.compile(_SINK.format(name=re.escape(own))))
        if sink.on_reject is not None:
            yield OwnFolder(str(sink.on_reject), re.compile(re.escape(name) + _LETTERS))
