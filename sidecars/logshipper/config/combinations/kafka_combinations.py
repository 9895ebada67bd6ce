"""Checks of the settings of the sink `kafka` that do not fit together. Each yields a sentence for a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sidecars.chassis.config.urls import is_loopback
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.over_http import http_settings
from sidecars.logshipper.config.sink_families.kafka_settings import WITH_PASSWORD
from sidecars.logshipper.config.sink_settings import SinkSettings


def check(sink: SinkSettings, variable: Callable[[str, str], str]) -> Iterator[str]:
    """Yield a sentence for each mistake in the settings of a sink whose scheme is that of Kafka."""

    def name_of(field: str) -> str:
        return variable(field, sink.name)

    if sink.sink_transactions and sink.sink_acks != "all":
        acks, transactions = name_of("sink_acks"), name_of("sink_transactions")
        yield f"{acks}={sink.sink_acks} cannot be with transactions: set {transactions}=false"
    if sink.sink_oauth_token_url is not None:
        yield from http_settings.wrong_client(sink, name_of)
    if sink.sink_encoding == "json":
        yield f"{name_of('sink_encoding')}=json is not for {sink.url.scheme}: each record has one event"
    yield from _credentials(sink, name_of)


def shared_ids(sinks: Iterable[SinkSettings], variable: Callable[[str, str], str]) -> Iterator[str]:
    """Yield a sentence for each sink whose transactional id is that of another one: one would fence the other."""
    first: dict[str, str] = {}
    for sink in sinks:
        transactional_id = sink.sink_transactional_id
        if transactional_id is None or sink_registry.of(sink.url).kind != "kafka":
            continue
        if transactional_id in first:
            ours, other = (variable("sink_transactional_id", name) for name in (sink.name, first[transactional_id]))
            yield f"{ours} is that of another sink ({other}), and one would stop the other: give each its own"
        first.setdefault(transactional_id, sink.name)


def _credentials(sink: SinkSettings, name_of: Callable[[str], str]) -> Iterator[str]:
    sasl, mechanism = sink.sink_sasl, name_of("sink_sasl")
    has_token, has_user = sink.sink_token is not None, sink.sink_username is not None
    has_endpoint = sink.sink_oauth_token_url is not None
    if sasl in WITH_PASSWORD and not has_user:
        yield f"{mechanism}={sasl} needs {name_of('sink_username')} and {name_of('sink_password')}"
    elif sasl == "oauthbearer" and (has_endpoint != has_user or has_token == has_endpoint):
        yield (
            f"{mechanism}=oauthbearer needs {name_of('sink_token')}, or {name_of('sink_oauth_token_url')} with "
            f"{name_of('sink_username')} and {name_of('sink_password')}"
        )


def sent_in_clear(sink: SinkSettings, variable: Callable[[str, str], str]) -> Iterator[str]:
    """Yield a sentence if a secret is sent to brokers without TLS, beyond this host."""
    hosts = [host for host, _ in sink_registry.brokers(sink.url)]
    in_clear = sink.sink_sasl in ("plain", "oauthbearer", "aws-msk-iam")
    if in_clear and sink.url.scheme == "kafka" and not all(map(is_loopback, hosts)):
        name = variable("sink_sasl", sink.name)
        yield f"{name}={sink.sink_sasl} sends credentials to {sink.url} without encryption: use kafka+tls"
    endpoint = sink.sink_oauth_token_url
    if endpoint is not None and endpoint.scheme == "http" and not is_loopback(endpoint.hostname):
        password, target = variable("sink_password", sink.name), variable("sink_oauth_token_url", sink.name)
        yield f"{password} is sent to {target}={endpoint} without encryption: use https"
