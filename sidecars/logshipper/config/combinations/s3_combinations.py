"""Checks of the settings of `s3`, and of sinks that sign for AWS, that do not fit together. Each yields a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sidecars.chassis.config import cloud_settings
from sidecars.chassis.config.cloud_settings import AwsSettings
from sidecars.chassis.config.urls import DEFAULT_PORTS
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.over_http.http_settings import ProxySettings, proxy_for
from sidecars.logshipper.config.sink_settings import SinkSettings

Variable = Callable[[str, str], str]
"""Returns the environment variable of a field for the sink of that name."""

_LARGEST, _LONGEST = 16 * 2**20, 60.0  # bytes and seconds of a batch that is in memory as texts


def check(
    settings: AwsSettings, proxies: ProxySettings, sinks: Mapping[str, SinkSettings], variable: Variable
) -> Iterator[str]:
    """Yield a sentence for each mistake. `settings` and `proxies` are those of the process."""
    stores = [sink for sink in sinks.values() if sink_registry.of(sink.url).kind == "s3"]
    for sink in sinks.values():
        if sink not in stores:
            yield from _batches(sink, variable)
    for sink in stores:
        yield from _address(settings, sink, variable)
        yield from _proxy(cloud_settings.region_of(settings, sink.sink_region), proxies, sink)
    signed = [sink for sink in sinks.values() if sink.sink_auth == "aws" or sink.sink_sasl == "aws-msk-iam"]
    for sink in signed:
        yield from _signed(settings, sink, variable)
    if stores or signed:
        yield from cloud_settings.container_problems(settings)


def _signed(settings: AwsSettings, sink: SinkSettings, variable: Variable) -> Iterator[str]:
    if sink.sink_region or settings.aws_region or settings.aws_default_region:
        return
    field = "sink_auth" if sink.sink_auth else "sink_sasl"
    own, value = variable("sink_region", sink.name), getattr(sink, field)
    yield f"{variable(field, sink.name)}={value}, but {own} is not set: in which region is the receiver?"


def _address(settings: AwsSettings, sink: SinkSettings, variable: Variable) -> Iterator[str]:
    name, endpoint = sink.name, sink.sink_endpoint
    if endpoint is None and not (sink.sink_region or settings.aws_region or settings.aws_default_region):
        region, own = variable("sink_region", name), variable("sink_endpoint", name)
        yield f"{variable('url', name)} is in AWS, but {region} is not set: set it, or {own} for another store"
    if endpoint is not None and str(endpoint.target) not in ("", "/"):
        yield f"{variable('sink_endpoint', name)} has a path: a prefix of keys belongs in {variable('url', name)}"


def _proxy(region: str, proxies: ProxySettings, sink: SinkSettings) -> Iterator[str]:
    scheme, host = "https", f"s3.{region}.amazonaws.com"
    if sink.sink_endpoint is not None:
        scheme, host = sink.sink_endpoint.scheme, sink.sink_endpoint.hostname
    proxy = proxy_for(proxies, sink, scheme, host, DEFAULT_PORTS[scheme])
    if proxy is not None and proxy.scheme != "http":
        yield f"{proxy} is set as a proxy, and sinks use http:// proxies: set SINK_PROXY to one, or to off"


def _batches(sink: SinkSettings, variable: Variable) -> Iterator[str]:
    if sink.batch_size > _LARGEST:
        yield f"{variable('batch_size', sink.name)} is more than 16MiB, which only s3 can have: it packs its batches"
    if sink.batch_timeout > _LONGEST:
        yield f"{variable('batch_timeout', sink.name)} is more than 1m, which only s3 can have"
