"""Checks of settings that do not fit together: one is missing, has no effect, or contradicts another.

Each check yields a sentence for a mistake. `variable(field, name)` returns the environment variable of a field for the
input or sink of that name; without a name it returns the variable that all share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from sidecars.chassis.config import unused_settings
from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.urls import is_loopback
from sidecars.logshipper.config import self_ingestion, sink_registry
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings

_LOKI_LABELS = 12  # beside namespace, pod and filename: Loki accepts 15 (max_label_names_per_series)


class Variable(Protocol):
    def __call__(self, field: str, name: str | None = None, /) -> str: ...


def check(inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each mistake in the settings of the inputs, of the sinks, and of both together."""
    yield from _inputs(list(inputs.values()), variable)
    yield from _sinks(list(sinks.values()), variable)
    yield from _too_many_labels(inputs, sinks, variable)
    yield from _shared_outputs(sinks, variable)
    yield from _self_ingestion(inputs, sinks, variable)


# -- inputs --------------------------------------------------------------------------------------------------------


def _inputs(inputs: list[InputSettings], variable: Variable) -> Iterator[str]:
    for one in inputs:
        yield from _contradictions(one, variable)
    yield from unused_settings.unused_variables(inputs, _needs_of_inputs(variable))


def _contradictions(one: InputSettings, variable: Variable) -> Iterator[str]:
    name, regex = one.name, variable("regex", one.name)
    if one.format == "regex" and one.regex is None:
        yield f"{variable('format', name)}=regex, but {regex} is not set: its named groups become the fields"
    for field in ("time_key", "level_key"):
        key = getattr(one, field)
        if one.format == "regex" and key and f"(?P<{key}>" not in (one.regex or f"(?P<{key}>"):
            yield f"{variable(field, name)}={key}, but {regex} has no group of that name"
    if one.time_key is not None and one.time_key == one.level_key:
        time_key, level_key = variable("time_key", name), variable("level_key", name)
        yield f"{time_key} and {level_key} are the same: a field is one or the other"


def _needs_of_inputs(variable: Variable) -> dict[str, unused_settings.WhyUnused[InputSettings]]:
    def formats(*of_use: str) -> unused_settings.WhyUnused[InputSettings]:
        def why_not(one: InputSettings) -> str:
            if one.format in of_use:
                return ""
            form = one.set_by.get("format", variable("format", one.name))
            return f"{form}={one.format} has no use for it: it is for {', '.join(of_use)}"

        return why_not

    def a_time_key(one: InputSettings) -> str:
        if one.time_key is not None:
            return ""
        return f"{variable('time_key', one.name)} is not: which field has the time?"

    def several_lines(one: InputSettings) -> str:
        if one.multiline != "none" or one.format == "cri":
            return ""
        return f"{variable('multiline', one.name)} is not: each line is an event"

    return {
        "regex": formats("regex"),
        "time_key": formats("json", "logfmt", "regex"),
        "level_key": formats("json", "logfmt", "regex"),
        "multiline": formats("raw", "regex", "cri"),
        "time_format": a_time_key,
        "multiline_timeout": several_lines,
    }


# -- sinks ---------------------------------------------------------------------------------------------------------


def _sinks(sinks: list[SinkSettings], variable: Variable) -> Iterator[str]:
    for sink in sinks:
        if sink.retry_min > sink.retry_max:
            shortest, longest = variable("retry_min", sink.name), variable("retry_max", sink.name)
            yield f"{shortest} is longer than {longest}: the first pause cannot exceed the longest"
    yield from unused_settings.unused_variables(sinks, {field: _a_scheme_with(field) for field in _FIELDS_OF_SCHEMES})
    yield from _compression(sinks, variable)
    for sink in sinks:
        yield from _credentials(sink, variable)


_FIELDS_OF_SCHEMES = sorted(set().union(*(scheme.uses for scheme in sink_registry.SCHEMES.values())))


def _a_scheme_with(field: str) -> unused_settings.WhyUnused[SinkSettings]:
    def why_not(sink: SinkSettings) -> str:
        return "" if field in sink_registry.of(sink.url).uses else f"{sink.url.scheme}: has no use for it"

    return why_not


def _compression(sinks: Iterable[SinkSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each compression that the sink does not support.

    A variable without a name is the default for all sinks: it is right if it has an effect for one of them.
    """
    for holders in unused_settings.members_by_variable(sinks, "compression").values():
        is_of_use = any(sink.compression in sink_registry.of(sink.url).compression for sink in holders)
        for sink in holders:
            known = sink_registry.of(sink.url).compression
            if sink.compression not in known and (len(known) > 1 or not is_of_use):
                name = variable("compression", sink.name)
                yield f"{name}={sink.compression} is not for {sink.url.scheme}: it knows {', '.join(known)}"


def _credentials(sink: SinkSettings, variable: Variable) -> Iterator[str]:
    """Yield a sentence for credentials that are incomplete, or of which there are too many."""
    name = sink.name
    for field, needed in (
        ("sink_username", "sink_password"),
        ("sink_password", "sink_username"),
        ("sink_key", "sink_cert"),
        ("sink_rotate_count", "sink_rotate_size"),
    ):
        if getattr(sink, field) is not None and getattr(sink, needed) is None:
            yield f"{variable(field, name)} is set, but {variable(needed, name)} is not: set both"
    is_forward = sink_registry.of(sink.url).module == "forward"
    if is_forward and sink.sink_username is not None and sink.sink_token is None:
        user, token = variable("sink_username", name), variable("sink_token", name)
        yield f"{user} is set, but {token} is not: users come with a shared key"
    if not is_forward and ":" in (sink.sink_username or ""):
        yield f"{variable('sink_username', name)} has a colon, which basic authentication cannot carry (RFC 7617)"
    if not is_forward and sink.sink_token is not None and sink.sink_username is not None:
        token, user = variable("sink_token", name), variable("sink_username", name)
        yield f"{token} and {user} are both set, and a request has one Authorization: keep one"


def sent_in_clear(
    sinks: Mapping[str, SinkSettings], standard_headers: Secret | None, variable: Variable
) -> Iterator[str]:
    """Yield a sentence for each secret that is sent over HTTP without TLS, beyond this host.

    `standard_headers` are those of OpenTelemetry's variable, for `otlp`. `forward` sends a digest of its key.
    """
    for name, sink in sinks.items():
        if sink.url.scheme.rpartition("+")[2] != "http" or is_loopback(sink.url.hostname):
            continue
        secrets = [variable(field, name) for field in _SECRETS if getattr(sink, field) is not None]
        if standard_headers is not None and sink_registry.of(sink.url).module == "otlp":
            secrets.append(variable("otel_exporter_otlp_headers"))
        for each in secrets:
            yield f"{each} is sent to {variable('url', name)}={sink.url} without encryption: use https"


_SECRETS = ("sink_token", "sink_password", "sink_headers")


# -- inputs and sinks ----------------------------------------------------------------------------------------------


def _too_many_labels(
    inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable
) -> Iterator[str]:
    if any(sink_registry.of(sink.url).module == "loki" for sink in sinks.values()):
        for name, one in inputs.items():
            if len(one.labels or {}) > _LOKI_LABELS:
                labels = variable("labels", name)
                yield f"{labels} has more than {_LOKI_LABELS} labels: with ours Loki would refuse every line"


def _shared_outputs(sinks: Mapping[str, SinkSettings], variable: Variable) -> Iterator[str]:
    if sum(sink.url.scheme == "stdout" for sink in sinks.values()) > 1:
        yield f"more than one {variable('url')} is stdout: lines of both would be mixed there"
    directories = [str(sink.url.target) for sink in sinks.values() if sink.url.scheme == "file"]
    if len(set(directories)) < len(directories):
        yield f"more than one {variable('url')} writes into the same directory: give each its own"


def _self_ingestion(
    inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable
) -> Iterator[str]:
    """Yield a sentence for each file that a sink writes and an input would tail."""
    for name, sink in sinks.items():
        written = {"on_reject": sink.on_reject and str(sink.on_reject)}
        written["url"] = str(sink.url.target) if sink.url.scheme == "file" else None
        for field, folder in written.items():
            for one in inputs.values() if folder else ():
                if self_ingestion.is_tailed(f"{folder}/{name}.ndjson", one.paths, one.exclude or ()):
                    ours, paths = variable(field, name), variable("paths", one.name)
                    yield f"{paths} matches the file of {ours}: its lines would be shipped for ever; change one"
