"""Checks of the directories of settings: a file that one of them writes, another one must not read or own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sidecars.chassis.config.settings import DEFAULT_NAME
from sidecars.logshipper.config import self_ingestion
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings

Variable = Callable[[str, str | None], str]
"""Returns the environment variable of a field for the input or sink of that name; with None that of the process."""


def check(
    inputs: Mapping[str, InputSettings],
    sinks: Mapping[str, SinkSettings],
    state_dir: Path,
    pod: tuple[str, ...],
    variable: Variable,
) -> Iterator[str]:
    """Yield a sentence for each mistake. `pod`: the namespace and the Pod, with which names of files begin."""
    for name, sink in sinks.items():
        for field, folder, files in _written(name, sink, pod):
            ours = variable(field, name)
            # Dead letters are bounded, so that a directory of their own may be on the volume of the state.
            if folder == state_dir or (field == "url" and state_dir in folder.parents):
                state = variable("state_dir", None)
                yield f"{ours} is inside {state}={state_dir}, which has our positions alone: give it another directory"
            for one in inputs.values():
                paths, excluded = one.paths, one.exclude or ()
                if any(self_ingestion.is_tailed(f"{folder}/{file}", paths, excluded) for file in files):
                    theirs = variable("paths", one.name)
                    yield f"{theirs} matches the file of {ours}: its lines would be shipped for ever; change one"
        if sink.url.scheme == "file" and sink.on_reject == Path(str(sink.url.target)):
            url, letters = variable("url", name), variable("on_reject", name)
            yield f"{letters} and {url} are one directory, in which their files may have one name: change one"


def _written(name: str, sink: SinkSettings, pod: tuple[str, ...]) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Yield the setting, the directory and names of the files for each place that a sink writes to."""
    if sink.url.scheme == "file":
        file = "_".join((*pod, "logshipper" if name == DEFAULT_NAME else name))
        yield "url", Path(str(sink.url.target)), (f"{name}.ndjson", f"{file}.ndjson", f"{file}.000001.ndjson")
    if sink.on_reject is not None:
        yield "on_reject", sink.on_reject, (f"{name}.ndjson", f"{name}.1.ndjson")
