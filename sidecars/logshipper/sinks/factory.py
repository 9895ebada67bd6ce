"""Where lines go: one module a sink, named by its row in `schemes`.

A module has `create(settings, sink)`, which returns a `base.Sink`. It is imported only when it is used.
"""

from __future__ import annotations

from importlib import import_module

from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import Sink


def create_sink(settings: Settings, sink: SinkSettings) -> Sink:
    module = import_module(f"{__package__}.{sink_registry.of(sink.url).module}")
    delivery: Sink = module.create(settings, sink)
    return delivery
