"""The settings of sinks over HTTP: who we are, through which proxy, and in which form.

The modules that check a setting are imported only where it is set: most sinks have none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from sidecars.chassis.config import cloud_settings
from sidecars.chassis.config.cloud_settings import TokenServiceSettings
from sidecars.chassis.config.setting_types import Secret, SettingType, choice, text
from sidecars.chassis.config.settings import ServiceSettings, setting
from sidecars.chassis.config.urls import DEFAULT_PORTS, Url, is_loopback, url
from sidecars.chassis.runtime.light_dataclasses import dataclass

if TYPE_CHECKING:
    from sidecars.chassis.http.proxy.proxies import Proxy
    from sidecars.logshipper.transform.parsing.label_sources import LabelSource


def _parse_own_proxy(raw: str) -> Proxy:
    from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded only where the setting is set

    if raw.lower() in _WORDS_FOR_OFF:
        raise ValueError(
            f"expected http://[user:password@]host:port, or off; {raw} would be a host: for no proxy set off"
        )
    try:
        return proxies.OFF if raw == "off" else proxies.parse(raw)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def _parse_foreign_proxy(raw: str) -> Proxy:
    from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded only where the setting is set

    return proxies.parse_foreign(raw)


_WORDS_FOR_OFF = ("none", "no", "false", "direct", "disabled", "null")
own_proxy = SettingType("URL · off", _parse_own_proxy, sensitive=True)
foreign_proxy = SettingType("URL", _parse_foreign_proxy, sensitive=True)


def _parse_content_type(raw: str) -> str:
    from sidecars.chassis.http.authorization import can_be_a_value  # noqa: PLC0415 - loaded only where it is set

    if not can_be_a_value(raw) or "/" not in raw:
        raise ValueError("expected a type that a header can carry, such as application/json")
    return raw


def _parse_labels(raw: str) -> tuple[LabelSource, ...]:
    from sidecars.logshipper.transform.parsing import label_sources  # noqa: PLC0415 - loaded only where it is set

    return label_sources.parse(raw)


def _show_labels(value: tuple[LabelSource, ...]) -> str:
    from sidecars.logshipper.transform.parsing import label_sources  # noqa: PLC0415 - loaded only where it is set

    return label_sources.show(value)


_labels = SettingType("level, {field}, name={field}, …", _parse_labels, _show_labels)
_content_type = SettingType("type/subtype", _parse_content_type)
AUTHS = ("none", "basic", "bearer", "aws", "gcp", "azure", "oauth2")
SIGNED = ("aws", "gcp", "azure", "oauth2")
"""The values of SINK_AUTH whose credentials are renewed."""
_AWS_SERVICES = {"otlp": "logs", "elasticsearch": "es"}


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """The part of `SinkSettings` for sinks over HTTP."""

    sink_auth: str | None = setting(
        choice(*AUTHS),
        "for an HTTP sink: the kind of authentication: `basic` (`SINK_USERNAME`), `bearer` (`SINK_TOKEN`), an AWS "
        "signature, a token of Google Cloud or Azure, or of `SINK_OAUTH_TOKEN_URL`; unset: by the credentials that "
        "are set",
        default="",
        heading="Sinks: HTTP and identity",
    )
    sink_aws_service: str | None = setting(
        text,
        "for `SINK_AUTH=aws`: the service that signatures are for; unset: `logs` for `otlp`, `es` for `elasticsearch`",
        default="",
    )
    sink_oauth_token_url: Url | None = setting(
        url("https", "http"),
        "for `SINK_AUTH=oauth2` and `SINK_SASL=oauthbearer`: the token endpoint; `SINK_USERNAME` and `SINK_PASSWORD` "
        "are client id and secret",
        default="",
    )
    sink_oauth_client: str = cloud_settings.oauth_client("SINK")
    sink_oauth_key: Path | None = cloud_settings.oauth_key("SINK")
    sink_oauth_key_id: str | None = cloud_settings.oauth_key_id("SINK")
    sink_oauth_key_audience: str | None = cloud_settings.oauth_key_audience("SINK")
    sink_oauth_scope: str | None = setting(
        text,
        "for `SINK_AUTH` with tokens: the scope to ask for; unset: that of Azure Monitor for `azure`, none for others",
        default="",
    )
    sink_labels: tuple[LabelSource, ...] | None = setting(
        _labels,
        "for `loki`: labels from events, such as `level,{tenant},team={user.team}`; each set of values is a stream, so "
        "take fields with few values",
        default="",
    )
    sink_method: str = setting(choice("POST", "PUT"), "for `http`: the method of its requests", default="POST")
    sink_encoding: str = setting(
        choice("ndjson", "json", "text"),
        "for `http`: the body of a request: records as JSON lines, as one JSON array, or the lines as they were; for "
        "`kafka`: the value of a record: JSON, or the text of the event (`text`)",
        default="ndjson",
    )
    sink_content_type: str | None = setting(
        _content_type,
        "for `http`: Content-Type of its requests; unset: `application/x-ndjson`, `application/json` or "
        "`text/plain; charset=utf-8`, by `SINK_ENCODING`",
        default="",
    )
    sink_proxy: Proxy | None = setting(
        own_proxy,
        "for an HTTP sink: its proxy, `http://[user:password@]host:port`, or `off`; unset: that of the environment "
        "(`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`)",
        default="",
    )


@dataclass(frozen=True, kw_only=True)
class ProxySettings(ServiceSettings):
    """The proxies of the environment, with the names that all programs know. They are for HTTP sinks alone."""

    PREFIX: ClassVar[str]

    https_proxy: Proxy | None = setting(
        foreign_proxy,
        "proxy of sinks over HTTPS; unset: `HTTPS_PROXY`",
        env="https_proxy",
        default="",
        heading="Proxies",
    )
    http_proxy: Proxy | None = setting(
        foreign_proxy,
        "proxy of sinks over HTTP without TLS; unset: `HTTP_PROXY`",
        env="http_proxy",
        default="",
    )
    all_proxy: Proxy | None = setting(
        foreign_proxy,
        "proxy of HTTP sinks for which the two others are not set; unset: `ALL_PROXY`",
        env="all_proxy",
        default="",
    )
    no_proxy: str | None = setting(
        text,
        "hosts that are reached without a proxy, separated by commas: `example.org` and all below it, `.example.org`, "
        "an address, a network such as `10.0.0.0/8`, or `*`; unset: `NO_PROXY`",
        env="no_proxy",
        default="",
    )


class ProxiedSink(Protocol):
    """The settings of a sink that decide on its proxy."""

    @property
    def url(self) -> Url: ...
    @property
    def sink_proxy(self) -> Proxy | None: ...


def proxy_of(settings: ProxySettings, sink: ProxiedSink) -> Proxy | None:
    """Return the proxy of an HTTP sink; None if its requests go to the receiver directly."""
    scheme = sink.url.scheme.rpartition("+")[2]
    if scheme not in DEFAULT_PORTS:
        return None
    return proxy_for(settings, sink, scheme, sink.url.hostname, sink.url.port or DEFAULT_PORTS[scheme])


def proxy_for(settings: ProxySettings, sink: ProxiedSink, scheme: str, host: str, port: int) -> Proxy | None:
    """Return the proxy for the requests of a sink to a host: its receiver, or a service that gives it tokens."""
    found, no_proxy = {"all": sink.sink_proxy}, ""
    if sink.sink_proxy is None:
        found = {"https": settings.https_proxy, "http": settings.http_proxy, "all": settings.all_proxy}
        no_proxy = settings.no_proxy or ""
    if not any(found.values()):
        return None
    from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded only where there is one

    return proxies.choose(scheme, host, port, found, no_proxy)


def _has_proxies(sink: ProxiedSink) -> bool:
    return sink.url.scheme == "s3" or sink.url.scheme.rpartition("+")[2] in DEFAULT_PORTS


def unusable_proxies(settings: ProxySettings, sinks: Mapping[str, ProxiedSink]) -> Iterator[str]:
    """Yield a sentence for each proxy of a sink that is no HTTP proxy, and for what NO_PROXY has in vain."""
    for proxy in dict.fromkeys(filter(None, (proxy_of(settings, sink) for sink in sinks.values()))):
        if proxy.scheme != "http":
            yield f"{proxy} is set as a proxy, and sinks use http:// proxies: set SINK_PROXY to one, or to off"
    of_all = settings.https_proxy or settings.http_proxy or settings.all_proxy
    if settings.no_proxy and of_all and any(sink.sink_proxy is None and _has_proxies(sink) for sink in sinks.values()):
        from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded only where there is one

        for entry in proxies.entries_without_effect(settings.no_proxy):
            yield f"NO_PROXY has {entry}, which covers no host: expected host, .domain, address, network or *"


# -- SINK_AUTH -----------------------------------------------------------------------------------------------------


class IdentifiedSink(ProxiedSink, Protocol):
    """The settings of a sink that decide on how its receiver knows us."""

    @property
    def name(self) -> str: ...
    @property
    def set_by(self) -> Mapping[str, str]: ...
    @property
    def sink_auth(self) -> str | None: ...
    @property
    def sink_aws_service(self) -> str | None: ...
    @property
    def sink_oauth_token_url(self) -> Url | None: ...
    @property
    def sink_token(self) -> Secret | None: ...
    @property
    def sink_username(self) -> str | None: ...
    @property
    def sink_headers(self) -> Secret | None: ...
    @property
    def sink_cert(self) -> Path | None: ...


class Variable(Protocol):
    def __call__(self, field: str, name: str | None = None, /) -> str: ...


def aws_service(sink: IdentifiedSink) -> str:
    """Return the service that the sink's signatures are for; "" if it has to be set."""
    return sink.sink_aws_service or _AWS_SERVICES.get(sink.url.scheme.partition("+")[0], "")


def _knows_us(sink: IdentifiedSink) -> bool:
    """Return True if something may tell the receiver who we are, or a setting says that nothing has to."""
    headers = f",{sink.sink_headers}".lower()  # they are shown by their names
    known = (sink.sink_auth, sink.sink_token, sink.sink_username, sink.sink_cert)
    return ",authorization=" in headers or any(one is not None for one in known)


_NEEDED = {"basic": ("sink_username",), "bearer": ("sink_token",), "oauth2": ("sink_oauth_token_url", "sink_username")}


def wrong_auth(settings: TokenServiceSettings, sinks: Iterable[IdentifiedSink], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each SINK_AUTH that lacks something."""
    for sink in sinks:
        if sink.url.scheme.rpartition("+")[2] not in DEFAULT_PORTS:
            continue
        auth = variable("sink_auth", sink.name) + (f"={sink.sink_auth}" if sink.sink_auth else "")
        for field in _NEEDED.get(sink.sink_auth or "", ()):
            if getattr(sink, field) is None:
                yield f"{auth}, but {variable(field, sink.name)} is not set"
        if sink.url.scheme.startswith("splunk+") and not _knows_us(sink):
            token = variable("sink_token", sink.name)
            yield f"{token} is not set, and the collector takes nothing without: set it, or {auth}=none for a gateway"
        if sink.sink_auth == "aws" and not aws_service(sink):
            yield f"{auth}, but {variable('sink_aws_service', sink.name)} is not set: which service is it?"
        yield from _wrong_cloud(settings, sink, auth, partial(_of, variable, sink.name))


def _wrong_cloud(
    settings: TokenServiceSettings, sink: IdentifiedSink, auth: str, of: Callable[[str], str]
) -> Iterator[str]:
    if sink.sink_auth == "oauth2":
        yield from wrong_client(sink, of)
    elif sink.sink_auth == "azure":
        yield from cloud_settings.azure_problems(settings, auth)
    elif sink.sink_auth == "gcp" and settings.google_application_credentials is not None:
        from sidecars.chassis.identity import google_federation  # noqa: PLC0415 - few have such a file

        yield from google_federation.problems(settings, "")


def _of(variable: Variable, name: str, field: str) -> str:
    return variable(field, name)


def wrong_client(sink: IdentifiedSink, of: Callable[[str], str]) -> Iterator[str]:
    """Yield a sentence for each setting of the client of a token endpoint that is missing, or has no use."""
    values = {field: getattr(sink, f"sink_{field}") for field in cloud_settings.FIELDS_OF_CLIENT}
    yield from cloud_settings.client_problems(values, lambda field: of(f"sink_{field}"))


def tokens_in_clear(
    settings: TokenServiceSettings, sinks: Iterable[IdentifiedSink], variable: Variable
) -> Iterator[str]:
    """Yield a sentence for each token, and secret of a token endpoint, that is sent without TLS beyond this host."""
    for sink in sinks:
        if sink.sink_auth in ("gcp", "azure", "oauth2"):
            places = {variable("url", sink.name): sink.url}
            if sink.sink_oauth_token_url is not None:
                places[variable("sink_oauth_token_url", sink.name)] = sink.sink_oauth_token_url
            if sink.sink_auth == "azure" and settings.azure_authority_host is not None:
                places["AZURE_AUTHORITY_HOST"] = settings.azure_authority_host
            for name, place in places.items():
                if place.scheme.rpartition("+")[2] == "http" and not is_loopback(place.hostname):
                    yield f"a token or its secret is sent to {name}={place} without encryption: use https"
