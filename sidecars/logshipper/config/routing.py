"""Routing: which sinks get the lines of which inputs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings


def takes(sink: SinkSettings, input_name: str) -> bool:
    """Return True if the sink gets the lines of the input."""
    return sink.inputs is None or input_name in sink.inputs


def sinks_of_inputs(
    inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings]
) -> dict[str, tuple[str, ...]]:
    """Return the names of the sinks that get each input's lines."""
    return {one: tuple(name for name, sink in sinks.items() if takes(sink, one)) for one in inputs}


def check(
    inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Callable[[str, str], str]
) -> Iterator[str]:
    """Yield a sentence for each unknown input of a sink, and for each input that no sink takes.

    No sink is without an input: `INPUTS` has at least one name, and each must be known.
    """
    known = ", ".join(inputs)
    for name, sink in sinks.items():
        for one in sink.inputs or ():
            if one not in inputs:
                chosen = sink.set_by.get("inputs", variable("inputs", name))
                yield f"{chosen} names {one}, and there is no such input: there is {known}"
    for one, takers in sinks_of_inputs(inputs, sinks).items():
        if not takers:
            yield f"{variable('paths', one)} is read for no sink: name {one} in the INPUTS of one"
