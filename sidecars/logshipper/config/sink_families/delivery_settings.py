"""The settings of one sink about its events: the inputs, a filter of its own, and the bounds of its retries."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import comma_separated, duration, integer
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types


@dataclass(frozen=True, kw_only=True)
class DeliverySettings:
    """Base of `SinkSettings`."""

    inputs: tuple[str, ...] | None = setting(
        comma_separated(setting_types.input_name),
        "the inputs whose lines the sink gets, by their names, such as `app,access`; unset: all inputs",
        default="",
        heading="Sinks: selection of events, further retries",
    )
    sink_keep: str | None = setting(
        setting_types.search,
        "a regex: the sink gets the events in which it is found, in the text after `REDACT`; all others are dropped "
        "and counted for this sink",
        default="",
    )
    sink_drop: str | None = setting(
        setting_types.search,
        "a regex: events in which it is found are dropped and counted for this sink, even if `SINK_KEEP` matches",
        default="",
    )
    retry_limit: int | None = setting(
        integer(1, 1_000_000),
        "the number of failed attempts in a row after which a batch is given up: its events go to `ON_REJECT`, and are "
        "counted as `expired`; unset: attempts never end",
        default="",
    )
    retry_max_age: float | None = setting(
        duration("1s"),
        "the time since the first attempt of a batch after which it is given up at its next failure, as with "
        "`RETRY_LIMIT`; a restart does not begin it anew; unset: attempts never end",
        default="",
    )
    isolate_after: int = setting(
        integer(0, 1000),
        "the number of failures (500, 502 or 504) in a row after which a batch is halved, to find an event for which "
        "an HTTP receiver fails; `0`: never",
        default="10",
    )
