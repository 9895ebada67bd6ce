"""Makes the sink of a URL: the module is the one in the row of its scheme in `config.sink_registry`.

Each sink's module has `create(settings, sink)`, which returns a `base.Sink`. A module is imported only if it is used.
"""

from __future__ import annotations

from importlib import import_module

from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Sink


def create_sink(settings: Settings, sink: SinkSettings) -> Sink:
    """Return a new sink, which is not open yet. `sink` has its own settings, `settings` those of the process."""
    module = import_module(f"{__package__}.{sink_registry.of(sink.url).module}")
    created: Sink = module.create(settings, sink)
    return created
