"""Creates the steps of a pipeline that its settings ask for; None for a step that it does not need.

The module of a step is imported here, and not by `pipeline`. So files whose lines are shipped as they are start without
regexes, without redaction, and without parsers of times and fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sidecars.logshipper.model.field_columns import FieldColumns
from sidecars.logshipper.transform.framing.line_framing import Framing, LineFraming, MultilineFraming
from sidecars.logshipper.transform.parsing.formats import RECORD, FormatSteps
from sidecars.logshipper.transform.pipeline_settings import PipelineSettings

if TYPE_CHECKING:
    from sidecars.logshipper.transform.framing.multiline import Splitter
    from sidecars.logshipper.transform.lifting.times import TimeReader
    from sidecars.logshipper.transform.parsing.field_edits import FieldEdits
    from sidecars.logshipper.transform.parsing.field_paths import FieldPath
    from sidecars.logshipper.transform.parsing.parsers import Parse
    from sidecars.logshipper.transform.parsing.path_fields import PathFields
    from sidecars.logshipper.transform.patterns.linear_regex import Finder
    from sidecars.logshipper.transform.redaction.redactor import Redactor
    from sidecars.logshipper.transform.reduction.line_counters import LineCounters
    from sidecars.logshipper.transform.reduction.rate_limits import RateLimit
    from sidecars.logshipper.transform.reduction.sampling import Sampler


def create_finder(regex: str | None) -> Finder | None:
    """Return the search of KEEP or DROP."""
    if not regex:
        return None
    from sidecars.logshipper.transform.patterns.linear_regex import Finder  # noqa: PLC0415 - RE2 takes 3 MB

    return Finder(regex)


def create_sampler(settings: PipelineSettings) -> Sampler | None:
    """Return the choice of SAMPLE; None if all events are shipped, as records of ours are."""
    if settings.sample == 1 or settings.format == RECORD:
        return None
    from sidecars.logshipper.transform.reduction.sampling import Sampler  # noqa: PLC0415 - see above

    return Sampler(settings.sample, parse_paths(settings.sample_key), settings.sample_except)


def create_rate_limit(settings: PipelineSettings) -> RateLimit | None:
    """Return the limit of RATE_LIMIT; records of ours have none."""
    if settings.rate_limit is None or settings.format == RECORD:
        return None
    from sidecars.chassis.config.rates import parse_rate  # noqa: PLC0415 - see above
    from sidecars.logshipper.transform.reduction.rate_limits import RateLimit  # noqa: PLC0415 - see above

    rate = parse_rate(settings.rate_limit)
    return RateLimit(rate, settings.rate_burst or rate.events, drops=settings.rate_excess == "drop")


def create_counters(settings: PipelineSettings) -> LineCounters | None:
    """Return the counters of COUNT; records of ours were counted when they were lines."""
    if settings.count is None or settings.format == RECORD:
        return None
    from sidecars.logshipper.transform.reduction.line_counters import LineCounters  # noqa: PLC0415 - see above

    return LineCounters(settings.count)


def create_redactor(redact: str | None) -> Redactor | None:
    """Return the rules of REDACT."""
    if not redact:
        return None
    from sidecars.logshipper.transform.redaction.redactor import Redactor  # noqa: PLC0415 - see above

    return Redactor(redact)


def create_path_fields(template: str | None) -> PathFields | None:
    """Return the reader of PATH_FIELDS."""
    if not template:
        return None
    from sidecars.logshipper.transform.parsing import path_fields  # noqa: PLC0415 - loaded only where the setting is set

    return path_fields.PathFields(template)


def create_time_reader(settings: PipelineSettings, steps: FormatSteps, local_zone: str | None) -> TimeReader | None:
    """Return the reader of times, if TIME_KEY or the entries of a container have some."""
    if not settings.time_key and not steps.container:
        return None
    from sidecars.logshipper.transform.lifting.times import TimeReader  # noqa: PLC0415 - see above

    return TimeReader(settings, local_zone)


def parse_paths(names: str | None) -> tuple[FieldPath, ...]:
    """Return the candidates of a setting such as MESSAGE_KEY; none if it is not set."""
    if not names:
        return ()
    from sidecars.logshipper.transform.parsing import field_paths  # noqa: PLC0415 - see above

    return field_paths.parse_list(names)


def _create_splitter(form: str, kind: str, limit: int) -> Splitter | None:
    """Return the splitter of MULTILINE; None if each line is an event. The known kinds are for texts."""
    if kind == "none":
        return None
    from sidecars.logshipper.transform.framing import multiline, multiline_kinds  # noqa: PLC0415 - see above

    if form in ("json", "logfmt") and multiline_kinds.is_kind(kind):
        return None
    return multiline.create_splitter(kind, limit)


def create_edits(settings: PipelineSettings, reserved: frozenset[str]) -> FieldEdits | None:
    """Return the edits of fields. `reserved`: names that they cannot give."""
    if not settings.flatten and not any((settings.rename, settings.copy, settings.remove, settings.add)):
        return None
    from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where a setting asks for it

    return field_edits.FieldEdits(settings, reserved)


def passthrough_or(parse: Parse, reserved: Iterable[str], wanted: Iterable[str], *, renames: bool) -> Parse:
    """Return a parser that keeps JSON objects as they are if that is possible, and calls `parse` otherwise.

    `renames`: True if it may rename members with a reserved name.
    """
    from sidecars.logshipper.transform.parsing import json_passthrough  # noqa: PLC0415 - msgspec takes 3 MB: loaded for JSON only

    read = json_passthrough.create_reader(reserved, wanted, renames=renames)

    def read_or_parse(texts: Sequence[str]) -> FieldColumns:
        objects = read(texts)
        return parse(texts) if objects is None else objects

    return read_or_parse


def create_framing(settings: PipelineSettings, steps: FormatSteps) -> Framing:
    """Return the framing of FORMAT and MULTILINE."""
    limit = settings.max_line_size
    splitter = _create_splitter(settings.format, settings.multiline, limit)
    if steps.container == "cri":
        from sidecars.logshipper.transform.framing.cri import CriFraming  # noqa: PLC0415 - loaded for this format only

        return CriFraming(splitter, limit)
    if steps.container == "docker":
        from sidecars.logshipper.transform.framing.docker import DockerFraming  # noqa: PLC0415 - msgspec takes 3 MB

        return DockerFraming(splitter, limit)
    return MultilineFraming(splitter) if splitter else LineFraming()
