"""Settings of one input or sink that do not fit together: one is missing, is without effect, or contradicts another.

`Called` gives the variable of a field for the input or sink of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sidecars.chassis.config import unused_settings
from sidecars.logshipper.config import sink_registry

if TYPE_CHECKING:
    from sidecars.logshipper.settings import InputSettings, SinkSettings

Called = Callable[[str, str], str]

# -- inputs --------------------------------------------------------------------------------------------------------


def inputs(found: Iterable[InputSettings], called: Called) -> Iterator[str]:
    """Yield a sentence for each mistake."""
    everyone = list(found)
    for tailed in everyone:
        yield from _contradictions(tailed, called)
    yield from unused_settings.unused_variables(everyone, _needs_of_inputs(called))


def _contradictions(tailed: InputSettings, called: Called) -> Iterator[str]:
    name, regex = tailed.name, called("regex", tailed.name)
    if tailed.format == "regex" and tailed.regex is None:
        yield f"{called('format', name)}=regex, but {regex} is not set: it tells what the fields are"
    for field in ("time_key", "level_key"):
        key = getattr(tailed, field)
        if tailed.format == "regex" and key and f"(?P<{key}>" not in (tailed.regex or f"(?P<{key}>"):
            yield f"{called(field, name)}={key}, but {regex} has no group of that name"
    if tailed.time_key is not None and tailed.time_key == tailed.level_key:
        time_key, level_key = called("time_key", name), called("level_key", name)
        yield f"{time_key} and {level_key} are the same: a field is one or the other"


def _needs_of_inputs(called: Called) -> dict[str, unused_settings.WhyUnused[InputSettings]]:
    def formats(*of_use: str) -> unused_settings.WhyUnused[InputSettings]:
        def why_not(tailed: InputSettings) -> str:
            if tailed.format in of_use:
                return ""
            form = tailed.set_by.get("format", called("format", tailed.name))
            return f"{form}={tailed.format} has no use for it: it is for {', '.join(of_use)}"

        return why_not

    def a_time_key(tailed: InputSettings) -> str:
        if tailed.time_key is not None:
            return ""
        return f"{called('time_key', tailed.name)} is not: which field has the time?"

    def several_lines(tailed: InputSettings) -> str:
        if tailed.multiline != "none" or tailed.format == "cri":
            return ""
        return f"{called('multiline', tailed.name)} is not: each line is an event"

    return {
        "regex": formats("regex"),
        "time_key": formats("json", "logfmt", "regex"),
        "level_key": formats("json", "logfmt", "regex"),
        "multiline": formats("raw", "regex", "cri"),
        "time_format": a_time_key,
        "multiline_timeout": several_lines,
    }


# -- sinks ---------------------------------------------------------------------------------------------------------


def sinks(found: Iterable[SinkSettings], called: Called) -> Iterator[str]:
    """Yield a sentence for each mistake."""
    everyone = list(found)
    for sink in everyone:
        if sink.retry_min > sink.retry_max:
            shortest, longest = called("retry_min", sink.name), called("retry_max", sink.name)
            yield f"{shortest} is longer than {longest}: the first pause cannot exceed the longest"
    yield from unused_settings.unused_variables(everyone, {field: _a_scheme_with(field) for field in _OF_SCHEMES})
    yield from _compression(everyone, called)
    for sink in everyone:
        yield from _credentials(sink, called)


_OF_SCHEMES = sorted(set().union(*(scheme.uses for scheme in sink_registry.SCHEMES.values())))


def _a_scheme_with(field: str) -> unused_settings.WhyUnused[SinkSettings]:
    def why_not(sink: SinkSettings) -> str:
        return "" if field in sink_registry.of(sink.url).uses else f"{sink.url.scheme}: has no use for it"

    return why_not


def _compression(found: list[SinkSettings], called: Called) -> Iterator[str]:
    """Yield a sentence for each compression that the sink does not know. A default may be for some sinks only."""
    for holders in unused_settings.members_by_variable(found, "compression").values():
        is_of_use = any(sink.compression in sink_registry.of(sink.url).compression for sink in holders)
        for sink in holders:
            known = sink_registry.of(sink.url).compression
            if sink.compression not in known and (len(known) > 1 or not is_of_use):
                name = called("compression", sink.name)
                yield f"{name}={sink.compression} is not for {sink.url.scheme}: it knows {', '.join(known)}"


def _credentials(sink: SinkSettings, called: Called) -> Iterator[str]:
    """Credentials that are incomplete, or too many."""
    name = sink.name
    for field, needed in (
        ("sink_username", "sink_password"),
        ("sink_password", "sink_username"),
        ("sink_key", "sink_cert"),
        ("sink_rotate_count", "sink_rotate_size"),
    ):
        if getattr(sink, field) is not None and getattr(sink, needed) is None:
            yield f"{called(field, name)} is set, but {called(needed, name)} is not: set both"
    is_forward = sink_registry.of(sink.url).module == "forward"
    if is_forward and sink.sink_username is not None and sink.sink_token is None:
        user, token = called("sink_username", name), called("sink_token", name)
        yield f"{user} is set, but {token} is not: users come with a shared key"
    if not is_forward and ":" in (sink.sink_username or ""):
        yield f"{called('sink_username', name)} has a colon, which basic authentication cannot carry (RFC 7617)"
    if not is_forward and sink.sink_token is not None and sink.sink_username is not None:
        token, user = called("sink_token", name), called("sink_username", name)
        yield f"{token} and {user} are both set, and a request has one Authorization: keep one"
