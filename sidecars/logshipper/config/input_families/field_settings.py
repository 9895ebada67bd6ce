"""The settings that edit the fields of an input's records."""

from __future__ import annotations

from sidecars.chassis.config.setting_types import SettingType, boolean
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass


def _parse_moves(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where the setting is set

    field_edits.parse_moves(raw)
    return raw


def _parse_renamed(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where the setting is set

    field_edits.parse_moves(raw, once=True)
    return raw


def _parse_removed(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where the setting is set

    field_edits.parse_removed(raw)
    return raw


def _parse_added(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where the setting is set

    field_edits.parse_added(raw)
    return raw


_moves = SettingType("field:name, …", _parse_moves)
_renamed = SettingType("field:name, …", _parse_renamed)
_removed = SettingType("field, …", _parse_removed)
_added = SettingType("name=value, …", _parse_added)


@dataclass(frozen=True, kw_only=True)
class FieldSettings:
    """Base of `InputSettings`. The edits are done in the order of the settings here."""

    rename: str | None = setting(
        _renamed,
        "fields that get another name, such as `msg:message,http.code:status`; if there is a field of that name, it "
        "stays, and the renamed one gets an underscore after its name",
        default="",
        heading="Inputs: changes of fields",
    )
    copy: str | None = setting(_moves, "fields that are copied, as by `RENAME`", default="")
    remove: str | None = setting(
        _removed, "fields that are removed, such as `headers.cookie,debug.*,tmp_*`", default=""
    )
    add: str | None = setting(
        _added,
        "fields that are added to each record; unlike `LABELS` they are no labels of Loki and no attributes of OTLP's "
        "resource",
        default="",
    )
    flatten: bool = setting(
        boolean, "put the members of fields that are objects beside the others, as `http.status`", default="false"
    )
