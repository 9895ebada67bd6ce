"""The setting of a sink about the names of the members of its records."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import choice
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SchemaSettings:
    """Base of `SinkSettings`."""

    sink_schema: str = setting(
        choice("none", "ecs", "otel", "gelf"),
        "for `stdout`, `file`, `http`, `elasticsearch`, `s3`, `kafka` and `nats`: the names of a record's members: "
        "ours (`none`), those of the Elastic Common Schema (`ecs`), of OpenTelemetry's log data model (`otel`), "
        "or of GELF (`gelf`)",
        default="none",
        heading="Sinks: schema",
    )
