"""Where lines go: one module a sink. To add one, write its module and name its schemes here.

A module has `create(settings, sink)`, which returns a `base.Delivery`. It is imported only when it is used.
"""

from __future__ import annotations

from importlib import import_module

from sidecars.logshipper.settings import Settings, Sink
from sidecars.logshipper.sinks.base import Delivery

_MODULES = {"stdout": "stdout", "file": "file", "http": "http", "https": "http"}


def create(settings: Settings, sink: Sink) -> Delivery:
    module = import_module(f"{__name__}.{_MODULES[sink.sink.scheme]}")
    delivery: Delivery = module.create(settings, sink)
    return delivery
