"""Checks of settings that do not fit together: one is missing, or contradicts another.

Each check yields a sentence for a mistake. `variable(field, name)` returns the environment variable of a field for the
input or sink of that name; without a name it returns the variable that all share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Protocol

from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.config.urls import is_loopback
from sidecars.logshipper.config import routing, sink_registry
from sidecars.logshipper.config.combinations.input_needs import LEVELS
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.transform.parsing.formats import parse_steps

_LOKI_LABELS = 12  # beside namespace, pod and filename: Loki accepts 15 (max_label_names_per_series)


class Variable(Protocol):
    def __call__(self, field: str, name: str | None = None, /) -> str: ...


def check(inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each mistake in the settings of the inputs, of the sinks, and of both together."""
    yield from routing.check(inputs, sinks, variable)
    yield from _inputs(list(inputs.values()), variable)
    if any(sink.sink_labels for sink in sinks.values()):
        from sidecars.logshipper.config.combinations import field_combinations  # noqa: PLC0415 - for such sinks only

        yield from field_combinations.check(inputs, sinks, variable)
    yield from _sinks(list(sinks.values()), variable)
    yield from _too_many_labels(inputs, sinks, variable)
    yield from _shared_outputs(sinks, variable)


# -- inputs --------------------------------------------------------------------------------------------------------


def _inputs(inputs: list[InputSettings], variable: Variable) -> Iterator[str]:
    for one in inputs:
        yield from _contradictions(one, variable)
        if one.sample > 1:
            from sidecars.logshipper.config.combinations import reduction_combinations  # noqa: PLC0415 - for such inputs only

            yield from reduction_combinations.check(one, variable)
        if one.path_fields is not None:
            from sidecars.logshipper.config.combinations import path_combinations  # noqa: PLC0415 - for such inputs only

            yield from path_combinations.check(one, variable)


def _contradictions(one: InputSettings, variable: Variable) -> Iterator[str]:
    name, regex = one.name, variable("regex", one.name)
    steps = parse_steps(one.format)
    if "regex" in steps.parsers and one.regex is None:
        yield f"{variable('format', name)}={one.format}, but {regex} is not set: its named groups become the fields"
    if steps.container and one.encoding != "utf-8":
        form = variable("format", name)
        yield f"{variable('encoding', name)} is set, but entries of {form}={one.format} are UTF-8"
    if one.long_lines == "cut" and one.encoding in ("auto", "utf-16le", "utf-16be"):
        cut = variable("long_lines", name)
        yield f"{cut}=cut is not for {variable('encoding', name)}={one.encoding}: its long lines are split"
    for field in (*_KEYS, "sample_key"):
        key = None if getattr(one, field) in LEVELS else getattr(one, field)
        if (
            steps.parsers == ("regex",)
            and one.regex
            and key
            and not any(f"(?P<{each}>" in one.regex for each in _names(key))
        ):
            yield f"{variable(field, name)}={key}, but {regex} has no group of that name"
    keys = {field: set(_names(getattr(one, field) or "")) - {"", *LEVELS} for field in _KEYS}
    for first, second in combinations(_KEYS, 2):
        for both in sorted(keys[first] & keys[second]):
            ours, other = variable(first, name), variable(second, name)
            yield f"{ours} and {other} are the same ({both}): name another field in one of them"


_KEYS = ("time_key", "level_key", "message_key")


def _names(key: str) -> list[str]:
    """Return the names of a list of candidates."""
    return [one.strip() for one in key.split(",")]


def local_zone(inputs: Mapping[str, InputSettings], name: str | None, variable: Variable) -> Iterator[str]:
    """Yield a sentence if an input needs the zone that `TZ` names, and there is none."""
    if any(one.time_zone == "local" for one in inputs.values()):
        from sidecars.logshipper.model.times import time_zones  # noqa: PLC0415 - loaded only where the setting is set

        try:
            time_zones.find_local(name)
        except ValueError as error:
            yield f"{variable('tz')}={name}: {error}"


# -- sinks ---------------------------------------------------------------------------------------------------------


def _sinks(sinks: list[SinkSettings], variable: Variable) -> Iterator[str]:
    for sink in sinks:
        if sink.retry_min > sink.retry_max:
            shortest, longest = variable("retry_min", sink.name), variable("retry_max", sink.name)
            yield f"{shortest} is longer than {longest}: the first pause cannot exceed the longest"
        known = sink_registry.of(sink.url).compression
        if len(known) > 1 and sink.compression not in known:
            name = variable("compression", sink.name)
            yield f"{name}={sink.compression} is not for {sink.url.scheme}: it knows {', '.join(known)}"
        yield from _credentials(sink, variable)
        if sink_registry.of(sink.url).kind == "kafka":
            from sidecars.logshipper.config.combinations import kafka_combinations  # noqa: PLC0415 - for this sink only

            yield from kafka_combinations.check(sink, variable)


def _credentials(sink: SinkSettings, variable: Variable) -> Iterator[str]:
    """Yield a sentence for credentials that are incomplete, or of which there are too many."""
    name = sink.name
    for field, needed in (
        ("sink_username", "sink_password"),
        ("sink_password", "sink_username"),
    ):
        is_client = needed == "sink_password" and sink.sink_oauth_token_url is not None  # `wrong_client` has its proof
        if getattr(sink, field) is not None and getattr(sink, needed) is None and not is_client:
            yield f"{variable(field, name)} is set, but {variable(needed, name)} is not: set both"
    yield from _authorization(sink, variable)
    kind = sink_registry.of(sink.url).kind
    is_forward = kind == "forward"
    if kind == "kafka":
        return
    is_basic = sink_registry.of(sink.url).kind not in ("forward", "nats")
    if is_basic and ":" in (sink.sink_username or ""):
        yield f"{variable('sink_username', name)} has a colon, which basic authentication cannot carry (RFC 7617)"
    if not is_forward and sink.sink_token is not None and sink.sink_username is not None:
        token, user = variable("sink_token", name), variable("sink_username", name)
        where = "a request has one Authorization" if is_basic else "a connection has one identity"
        yield f"{token} and {user} are both set, and {where}: keep one"


def _authorization(sink: SinkSettings, variable: Variable) -> Iterator[str]:
    """Yield a sentence if SINK_HEADERS has an Authorization field beside other credentials.

    Credentials of this sink alone may replace headers that all sinks share.
    """
    if ",authorization=" not in f",{sink.sink_headers}".lower():  # headers are shown by their names
        return
    for field in ("sink_auth", "sink_token", "sink_username"):
        value, headers = getattr(sink, field), sink.set_by.get("sink_headers")
        is_override = headers == variable("sink_headers") and sink.set_by.get(field) != variable(field)
        if value not in (None, "none") and not is_override:
            other, name = variable(field, sink.name), variable("sink_headers", sink.name)
            yield f"{name} has Authorization, and {other} is set, too, and a request has one Authorization: keep one"
            return


def sent_in_clear(
    sinks: Mapping[str, SinkSettings], standard_headers: Secret | None, variable: Variable
) -> Iterator[str]:
    """Yield a sentence for each secret that is sent over HTTP or NATS without TLS, beyond this host.

    `standard_headers` are those of OpenTelemetry's variable, for `otlp`. `forward` sends a digest of its key.
    """
    for name, sink in sinks.items():
        if sink_registry.of(sink.url).kind == "kafka":
            from sidecars.logshipper.config.combinations import kafka_combinations  # noqa: PLC0415 - for this sink only

            yield from kafka_combinations.sent_in_clear(sink, variable)
        scheme = sink.url.scheme.rpartition("+")[2]
        if scheme not in _WITH_TLS or is_loopback(sink.url.hostname):
            continue
        secrets = [variable(field, name) for field in _SECRETS if getattr(sink, field) is not None]
        if standard_headers is not None and sink_registry.of(sink.url).kind == "otlp":
            secrets.append(variable("otel_exporter_otlp_headers"))
        for each in secrets:
            yield f"{each} is sent to {variable('url', name)}={sink.url} without encryption: use {_WITH_TLS[scheme]}"


_WITH_TLS = {"http": "https", "nats": "nats+tls"}  # schemes that send secrets as they are
_SECRETS = ("sink_token", "sink_password", "sink_headers")


# -- inputs and sinks ----------------------------------------------------------------------------------------------


def _too_many_labels(
    inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable
) -> Iterator[str]:
    loki = [sink for sink in sinks.values() if sink_registry.of(sink.url).kind == "loki"]
    for name, one in inputs.items():
        more = [len(sink.sink_labels or ()) for sink in loki if routing.takes(sink, name)]
        if more and len(one.labels or {}) + _labels_of_paths(one) + max(more) > _LOKI_LABELS:
            labels = variable("labels", name)
            with_those = f" with those of {variable('sink_labels')}" if max(more) else ""
            yield f"{labels} has more than {_LOKI_LABELS} labels{with_those}: with ours Loki would refuse every line"


def _labels_of_paths(one: InputSettings) -> int:
    if one.path_fields is None:
        return 0
    from sidecars.logshipper.config.combinations import path_combinations  # noqa: PLC0415 - for such inputs only

    return path_combinations.labels_of_paths(one)


def _shared_outputs(sinks: Mapping[str, SinkSettings], variable: Variable) -> Iterator[str]:
    if sum(sink.url.scheme == "stdout" for sink in sinks.values()) > 1:
        yield f"more than one {variable('url')} is stdout: lines of both would be mixed there"
    if sum(sink.sink_transactional_id is not None for sink in sinks.values()) > 1:
        from sidecars.logshipper.config.combinations import kafka_combinations  # noqa: PLC0415 - for such sinks only

        yield from kafka_combinations.shared_ids(sinks.values(), variable)
    directories = [str(sink.url.target) for sink in sinks.values() if sink.url.scheme == "file"]
    if len(set(directories)) < len(directories):
        yield f"more than one {variable('url')} writes into the same directory: give each its own"
