"""The settings of files: which are read, how many are open, and how long and how much of them is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecars.chassis.config.setting_types import choice, comma_separated, duration, integer, size
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types


@dataclass(frozen=True, kw_only=True)
class InputFileSettings:
    """The settings of one input's files. A base of `InputSettings`."""

    path_fields: str | None = setting(
        setting_types.path_fields,
        "a template of paths, whose fields are added to each record of a file, such as `/logs/{app}/{part}.log*`. "
        "`kubernetes`: `/var/log/pods/{namespace}_{pod}_{pod_uid}/{container}/{restart}.log*`. A path that the "
        "template does not fit has no fields. If the path names the Pod, no field of logshipper's own Pod is added but "
        "its node",
        default="",
        heading="Inputs: many and old files",
    )
    fair_by: tuple[str, ...] | None = setting(
        comma_separated(setting_types.path_field),
        "the fields of `PATH_FIELDS` by whose values files take turns, such as `namespace`: files with the same values "
        "share one turn; unset: those of the Pod, or each file by itself",
        default="",
    )
    compressed: str = setting(
        choice("ignore", "auto"),
        "what becomes of files that rotation has compressed (`.gz`, `.zst`): they are not read (`ignore`), or read "
        "once, unless they were read before they were compressed (`auto`); the globs must match them",
        default="ignore",
    )
    ignore_older: float | None = setting(
        duration("1s", "8760h"),
        "a file that was not written for this time when it is first seen is not read: its bytes are counted as "
        "`ignored`; what is written to it later is read",
        default="",
    )


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """The settings of the files of all inputs. A base of `Settings`."""

    max_open_files: int | None = setting(
        integer(1, 1_000_000),
        "the largest number of log files that are open at a time; unset: 80 % of the limit of open files "
        "(`ulimit -n`), less what everything else needs; the others are read in turns",
        default="",
        heading="Open files",
    )
    close_inactive: float = setting(
        duration("1s", "24h"),
        "a file that every sink has and that was not written for this time is closed; it is opened again when it is "
        "written, and recognised by its inode and content",
        default="5m",
    )
    max_held: int | None = setting(
        size("1MiB", "1024TiB"),
        "the largest disk space of deleted files that are held open for sinks that do not have them yet; beyond it the "
        "oldest is given up, and its bytes are counted as `given_up`; unset: without limit",
        default="",
    )


def check(inputs: Iterable[InputFileSettings], settings: FileSettings, scan_interval: float) -> Iterator[str]:
    """Yield a sentence for each IGNORE_OLDER at which a file that this process has closed could look old."""
    least = settings.close_inactive + scan_interval
    if any(one.ignore_older is not None and one.ignore_older <= least for one in inputs):
        yield (
            "LOGSHIPPER_IGNORE_OLDER must be longer than LOGSHIPPER_CLOSE_INACTIVE and LOGSHIPPER_SCAN_INTERVAL "
            "together: a file that is found anew after it was closed must not look old"
        )
