"""The settings of the sinks that take messages one by one: Splunk's collector, RELP and GELF."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import boolean, choice, size
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """A part of `SinkSettings`."""

    sink_ack: str = setting(
        choice("auto", "required", "off"),
        "for `splunk`: `auto` waits until the indexer has acknowledged a batch if the token has acknowledgement, "
        "`required` sends nothing to a token without it, `off` takes the collector's 200 as acceptance",
        default="auto",
        heading="Sinks: Splunk and streams",
    )
    sink_index: str | None = setting(
        setting_types.target,
        "for `splunk`: the index of the events, a template such as `shop-{tenant}`; unset: that of the token",
        default="",
    )
    sink_sourcetype: str | None = setting(
        setting_types.target,
        "for `splunk`: the source type of the events, a template such as `{app}`; unset: that of the token",
        default="",
    )
    sink_max_message: int = setting(
        size("1KiB", "16MiB"),
        "for `relp`: the largest syslog message; the text of a longer event is split over several messages, because "
        "receivers cut a message at a limit of their own (rsyslog: `maxMessageSize`) and still acknowledge it",
        default="8KiB",
    )
    sink_bulk: bool = setting(
        boolean,
        "for `gelf+http`: send several messages in a request, one a line; the input must have bulk receiving enabled",
        default="false",
    )
