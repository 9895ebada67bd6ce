"""The settings of an input about members of every event: time, level, message. Others are in `input_settings`."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import boolean
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types


@dataclass(frozen=True, kw_only=True)
class TimeSettings:
    """Base of `InputSettings`."""

    time_zone: str | None = setting(
        setting_types.time_zone,
        "the zone of times that have none: a name such as `Europe/Berlin`, an offset such as `+02:00`, or `local` "
        "(the variable `TZ`); unset: UTC",
        default="",
        heading="Inputs: time, message and encoding",
    )
    message_key: str | None = setting(
        setting_types.field_paths,
        "the field that holds the event's text, or a list as of `TIME_KEY`; it gets the name `message`",
        default="",
    )
    encoding: str = setting(
        setting_types.encoding,
        "the encoding of the files: `utf-8`, `utf-16le`, `utf-16be`, `auto` (a byte order mark at the beginning tells "
        "UTF-16), or another such as `windows-1252`, `iso-8859-15`, `shift_jis`, `gb18030`; records are UTF-8",
        default="utf-8",
    )
    read_at: bool = setting(
        boolean,
        "give records without a time the field `read_at`: when the batch was collected; the same in each attempt",
        default="false",
    )
