"""Checks of settings of the delivery that cannot act at a sink. Each yields a sentence for a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecars.chassis.config import unused_settings
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.sink_settings import SinkSettings

ONE_BATCH = ("stdout", "file", "kafka", "syslog", "gelf")
"""Sinks with one batch in flight at most: their `max_in_flight` is 1."""
NEVER_REJECT = ("stdout", "file", "syslog", "gelf", "forward", "relp")
"""Sinks that reject no event."""
OVER_HTTP = ("http", "loki", "elasticsearch", "otlp", "splunk", "gelf_http")


def check(sinks: Iterable[SinkSettings]) -> Iterator[str]:
    """Yield a sentence for each setting that has an effect for no sink that it is for."""
    return unused_settings.unused_variables(
        sinks, {"in_flight": _one_batch, "isolate_after": _no_status, "on_reject": _no_rejects}
    )


def _kind(sink: SinkSettings) -> str:
    return sink_registry.of(sink.url).kind


def _one_batch(sink: SinkSettings) -> str:
    return f"{sink.url.scheme}: has one batch in flight at a time: leave it out" if _kind(sink) in ONE_BATCH else ""


def _no_status(sink: SinkSettings) -> str:
    if _kind(sink) in OVER_HTTP:
        return ""
    return f"{sink.url.scheme}: has no status of HTTP that may be about an event: leave it out"


def _no_rejects(sink: SinkSettings) -> str:
    if _kind(sink) not in NEVER_REJECT or sink.retry_limit is not None or sink.retry_max_age is not None:
        return ""
    return f"{sink.url.scheme}: rejects no event, and RETRY_LIMIT and RETRY_MAX_AGE are not set: leave it out"
