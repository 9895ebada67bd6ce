"""Where lines go: one module a sink, named by its row in `schemes`.

A module has `create(settings, sink)`, which returns a `base.Delivery`. It is imported only when it is used.
"""

from __future__ import annotations

from importlib import import_module

from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.settings import Settings, Sink
from sidecars.logshipper.sinks.base import Delivery


def create_sink(settings: Settings, sink: Sink) -> Delivery:
    module = import_module(f"{__package__}.{sink_registry.of(sink.sink).module}")
    delivery: Delivery = module.create(settings, sink)
    return delivery
