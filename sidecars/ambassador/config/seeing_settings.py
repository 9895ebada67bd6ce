"""The settings of observation: traces, request ids and the fields of the access log.

`SeeingSettings` are of each upstream, `CollectorSettings` of the process: it has one queue of spans and one collector.
The variables of OpenTelemetry (`OTEL_…`) are not read: those of a Pod are meant for its app, which has its own traces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from sidecars.ambassador.config.setting_types import HTTP
from sidecars.ambassador.http.fields import CONTROL_FIELDS, may_be_secret
from sidecars.chassis.config.declared_fields import on, one_of, that
from sidecars.chassis.config.setting_types import (
    Secret,
    SettingType,
    boolean,
    choice,
    duration,
    path_to_read,
    secret,
    text,
)
from sidecars.chassis.config.settings import Settings, setting, variable
from sidecars.chassis.config.urls import Url, is_loopback, url
from sidecars.chassis.runtime.light_dataclasses import dataclass

OFF, CONTEXT, ON = "off", "context", "on"  # of TRACES

_TRACE_FIELDS = frozenset({b"traceparent", b"tracestate"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_HEADER = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t ]*:[\t ]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)"
).fullmatch
_SHARE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?%").fullmatch
FIELDS_WITH_A_MEANING = frozenset(
    {b"via", b"content-encoding", b"content-type", b"grpc-timeout", b"idempotency-key", b"proxy-authorization"}
)
"""Fields that no setting takes for a purpose of its own."""
_OURS = frozenset({"connection", "content-length", "content-type", "expect", "host", "transfer-encoding", "upgrade"})

# -- types ---------------------------------------------------------------------------------------------------------


def _parse_share(raw: str) -> float:
    found = _SHARE(raw)
    share = float(raw[:-1]) / 100 if found else -1.0
    if not 0.0 <= share <= 1.0:
        raise ValueError("expected a share from 0% to 100%, such as 1% or 0.05%")
    return share


share = SettingType("percentage", _parse_share, lambda value: f"{value * 100:.4f}".rstrip("0").rstrip(".") + "%")


def _parse_request_id_header(raw: str) -> str:
    if (
        not _TOKEN(raw)
        or raw.lower().encode() in CONTROL_FIELDS | _TRACE_FIELDS | FIELDS_WITH_A_MEANING
        or may_be_secret(raw)
    ):
        raise ValueError("expected the name of a header field for ids, such as x-request-id")
    return raw


request_id_header = SettingType("header name", _parse_request_id_header)

DEFAULT_FIELDS = (
    "upstream",
    "method",
    "path",
    "protocol",
    "status",
    "whole",
    "endpoint",
    "tries",
    "failed",
    "seconds",
    "before_try_seconds",
    "until_answer_seconds",
    "hedge",
)
FURTHER_FIELDS = (
    "client",
    "error",
    "grpc_status",
    "host",
    "request_bytes",
    "request_id",
    "response_bytes",
    "retries",
    "sampled",
    "span_id",
    "trace_id",
    "upstream_protocol",
    "user_agent",
)
_DEFAULT = "default"


def _parse_access_fields(raw: str) -> tuple[str, ...]:
    found: list[str] = []
    for word in (word.strip() for word in raw.split(",")):
        found += DEFAULT_FIELDS if word == _DEFAULT else (_access_field(word),)
    return tuple(dict.fromkeys(found))


def _access_field(word: str) -> str:
    if word in DEFAULT_FIELDS or word in FURTHER_FIELDS:
        return word
    side, dot, name = word.partition(".")
    if not dot or side not in ("request", "response") or not _TOKEN(name):
        known = ", ".join((_DEFAULT, *DEFAULT_FIELDS, *FURTHER_FIELDS))
        raise ValueError(f"expected names between commas: {known}, request.<header> or response.<header>")
    if may_be_secret(name):
        raise ValueError(f"expected no header that may carry a secret, such as {name}: the log would have it")
    return f"{side}.{name.lower()}"


access_fields = SettingType("names", _parse_access_fields, ",".join)

# -- settings ------------------------------------------------------------------------------------------------------

_SPANS = that(
    lambda settings: any(upstream.traces == ON for upstream in settings.upstreams.values()),
    "no upstream has {traces}=on: set that, or unset the endpoint",
)
_TLS = that(
    lambda settings: settings.traces_endpoint.scheme == "https", "{traces_endpoint} is without TLS: write https://"
)


@dataclass(frozen=True, kw_only=True)
class SeeingSettings:
    """The settings of one upstream about the observation of its requests."""

    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it

    traces: str = setting(
        choice(OFF, CONTEXT, ON),
        "the trace of a request: `off` passes `traceparent` and `tracestate` on untouched; `context` makes them if "
        "there are none, and gives each attempt its own span id; `on` sends the spans to `TRACES_ENDPOINT`, too",
        default=OFF,
        needs=(HTTP,),
        heading="Traces and log of requests",
    )
    traces_ratio: float = setting(
        share,
        "the share of the traces that begin here and are sampled; of others, their parent decides",
        default="1%",
        needs=(on("traces"),),
    )
    traces_errors: bool = setting(
        boolean,
        "the spans of each request that ends with an error are exported, whether sampled or not",
        default="true",
        needs=(one_of("traces", ON),),
    )
    traces_slow: float | None = setting(
        duration(maximum="24h"),
        "the time from which on the spans of a request are exported, whether sampled or not; unset: none are exported "
        "for its time",
        default="",
        needs=(one_of("traces", ON),),
    )
    request_id_header: str | None = setting(
        request_id_header,
        "the field with the id of a request, such as `x-request-id`: one that came is passed on, or a UUID (version 7) "
        "is made; unset: none is made",
        default="",
        needs=(HTTP,),
    )
    access_log_fields: tuple[str, ...] | None = setting(
        access_fields,
        "the fields of a line of `ACCESS_LOG` about a request, in their order: `default`, names of fields, "
        "`request.<header>`, `response.<header>`; unset: `default`",
        default="",
        needs=(
            HTTP,
            on("access_log"),
        ),
    )

    @property
    def taken_fields(self) -> frozenset[bytes]:
        """The fields of a request that are kept aside, and written anew for each attempt."""
        own = frozenset({self.request_id_header.lower().encode()} if self.request_id_header else ())
        return own | _TRACE_FIELDS if self.traces != OFF else own

    @property
    def is_observed(self) -> bool:
        """True if notes are taken of each request."""
        return self.traces != OFF or bool(self.request_id_header or self.access_log_fields)


@dataclass(frozen=True, kw_only=True)
class CollectorSettings:
    """The part of the settings of the process that is about the collector of spans."""

    traces_endpoint: Url | None = setting(
        url("https", "http"),
        "the URL of an OTLP receiver (HTTP, protobuf), such as `http://otel-collector.monitoring:4318/v1/traces`; "
        "without a path it is `/v1/traces`",
        default="",
        needs=(_SPANS,),
        heading="Collector of traces",
    )
    traces_headers: Secret | None = setting(
        secret,
        "fields of each request to `TRACES_ENDPOINT`, one a line: `Name: value`; `TRACES_HEADERS_FILE` is read again "
        "for each request",
        default="",
        needs=(on("traces_endpoint"),),
    )
    traces_ca: Path | None = setting(
        path_to_read,
        "PEM file of the authorities to trust for `TRACES_ENDPOINT`, instead of the system's; a new file is used as "
        "soon as it is there",
        default="",
        needs=(
            on("traces_endpoint"),
            _TLS,
        ),
    )
    traces_service: str = setting(
        text,
        "the name of this service in its spans (`service.name`)",
        default="ambassador",
        needs=(on("traces_endpoint"),),
    )


def parse_headers(raw: str) -> list[tuple[str, str]]:
    """Return the fields of TRACES_HEADERS. Raises ValueError, whose message names the line and repeats none of it."""
    found = []
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        parts = _HEADER(line.strip())
        if parts is None or parts[1].lower() in _OURS:
            raise ValueError(f"line {number}: expected `Name: value`, and no field that frames the request")
        found.append((parts[1], parts[2]))
    return found


# -- what is checked of them together ---------------------------------------------------------------------------------


class _Observed(Protocol):
    """The settings of the process, as far as they are checked here."""

    @property
    def upstreams(self) -> Mapping[str, Any]: ...
    @property
    def traces_endpoint(self) -> Url | None: ...
    @property
    def traces_headers(self) -> Secret | None: ...


def problems(settings: _Observed, cls: type[Settings]) -> Iterator[str]:
    """Yield a sentence for each contradiction."""
    yield from _problems_of_collector(settings, cls)
    endpoint = variable(cls, "traces_endpoint")
    for name, upstream in settings.upstreams.items():

        def of(field: str, name: str = name) -> str:
            return variable(cls, field, name)

        if upstream.traces == ON and settings.traces_endpoint is None:
            yield (
                f"{of('traces')}=on, but {endpoint} is not set: set the URL of a receiver, or {of('traces')}=context"
                " to pass traces on without spans"
            )
        yield from _problems_of_fields(upstream, of)


def _problems_of_collector(settings: _Observed, cls: type[Settings]) -> Iterator[str]:
    if settings.traces_headers is None:
        return
    try:
        parse_headers(settings.traces_headers.reveal())
    except (OSError, UnicodeDecodeError):
        yield f"{variable(cls, 'traces_headers')}: its file cannot be read"
    except ValueError as error:
        yield f"{variable(cls, 'traces_headers')}: {error}"


def _problems_of_fields(upstream: Any, of: Any) -> Iterator[str]:
    names = upstream.access_log_fields or ()
    set_here = {edit.name.lower() for edit in upstream.headers or () if edit.sign != "-"}
    for name in names:
        side, _, header = name.partition(".")
        if side == "request" and header in set_here:
            yield f"{of('access_log_fields')}: request.{header} is a field of {of('headers')}, which no log shows"
    if "request_id" in names and not upstream.request_id_header:
        yield f"{of('access_log_fields')}: request_id needs {of('request_id_header')}"
    for name in ("trace_id", "span_id", "sampled"):
        if name in names and upstream.traces == OFF:
            yield f"{of('access_log_fields')}: {name} needs {of('traces')}"
    yield from _problems_of_taken(upstream, of)


def _problems_of_taken(upstream: Any, of: Any) -> Iterator[str]:
    """Yield a sentence for each other setting about a field that is kept aside, and written anew for each attempt."""
    request_id, deadline = ((one or "").lower() for one in (upstream.request_id_header, upstream.deadline_header))
    if request_id and request_id == deadline:
        yield f"{of('deadline_header')} and {of('request_id_header')} are the same field: set another one"
    taken = {request_id: "request_id_header", deadline: "deadline_header"}
    if upstream.traces != OFF:
        taken |= {"traceparent": "traces", "tracestate": "traces"}
    edited = {edit.name.lower() for edit in upstream.headers or ()}
    instead = {"request_id_header": "request_id", "traces": "trace_id"}
    for header, field in taken.items():
        if not header:
            continue
        if f"request.{header}" in (upstream.access_log_fields or ()):
            cure = f"write {instead[field]}" if field in instead else "leave it out"
            yield f"{of('access_log_fields')}: request.{header} is a field of {of(field)}: {cure}"
        if header in edited:
            yield f"{of(field)} and {of('headers')} both decide about {header}: let one of them do it"
        if upstream.balance.lower() == f"hash:header:{header}":
            yield f"{of('balance')}={upstream.balance}: {header} is kept aside for {of(field)}: take another one"
        if upstream.auth == "aws" and header.startswith("x-amz-"):
            yield f"{of(field)}: {header} would not be signed, and AWS wants all of X-Amz-… signed: take another name"


def warnings(settings: _Observed, cls: type[Settings]) -> Iterator[str]:
    """Yield a sentence for each risk."""
    endpoint = settings.traces_endpoint
    if endpoint is None or endpoint.scheme != "http" or is_loopback(endpoint.hostname):
        return
    if settings.traces_headers is not None:
        yield f"{variable(cls, 'traces_headers')} is sent to {endpoint.host_port} without encryption: use https://"
