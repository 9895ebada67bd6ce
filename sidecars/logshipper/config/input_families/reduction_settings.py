"""The settings that reduce the events of an input."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import SettingType, choice, integer
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types


def _parse_count(raw: str) -> str:
    from sidecars.logshipper.transform.reduction import line_counters  # noqa: PLC0415 - loaded only where the setting is set

    line_counters.parse_count(raw)
    return raw


def _parse_rate(raw: str) -> str:
    from sidecars.chassis.config import rates  # noqa: PLC0415 - loaded only where the setting is set

    rates.parse_rate(raw)
    return raw


_rate = SettingType("rate", _parse_rate)
_count = SettingType("name=/regex/, …", _parse_count)


@dataclass(frozen=True, kw_only=True)
class ReductionSettings:
    """Base of `InputSettings`."""

    sample: int = setting(
        integer(1, 1_000_000),
        "of so many events one is shipped, chosen by a hash of its id, so that the choice is the same in each attempt; "
        "it has the field `sample_rate`; the others are counted as `sampled`",
        default="1",
        heading="Inputs: samples, counts and rates",
    )
    sample_key: str | None = setting(
        setting_types.field_paths,
        "the field whose value is hashed instead of the id, or a list as of `TIME_KEY`, such as `trace_id`: all events "
        "of one value are shipped, or none; an event without it is chosen by its id",
        default="",
    )
    sample_except: str | None = setting(
        setting_types.search,
        "a regex: events in which it is found are always shipped, with a `sample_rate` of 1",
        default="",
    )
    count: str | None = setting(
        _count,
        "counters of the metric `logshipper_matches_total`, each a name and a regex, such as "
        r"`errors=/\bERROR\b/,answers=/ (?P<status>[1-5]\d\d) /`: the events in which it is found, also those that are "
        "not shipped; a named group is a label with up to 20 values, then `other`",
        default="",
    )
    rate_limit: str | None = setting(
        _rate,
        "the largest number of events that each sink gets of each key in a second (`500/s`), minute (`30/m`) or hour",
        default="",
    )
    rate_burst: int | None = setting(
        integer(1, 1_000_000_000),
        "the number of events that may come at once after a pause; unset: the number of `RATE_LIMIT`",
        default="",
    )
    rate_limit_key: str | None = setting(
        setting_types.field_paths,
        "the field, label or path field by whose value events are limited, or `file`, or a list as of `TIME_KEY`; "
        "1,000 values at a time have a limit of their own, all others share one; unset: one limit for the input",
        default="",
    )
    rate_excess: str = setting(
        choice("wait", "drop"),
        "what becomes of events beyond `RATE_LIMIT`: they are read later, with all lines behind them in their file "
        "(`wait`), or dropped and counted as `rate_limited` (`drop`)",
        default="wait",
    )
