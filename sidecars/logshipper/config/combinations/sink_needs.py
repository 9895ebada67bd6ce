"""The needs of the settings of a sink. A setting without its need has no effect, which ends the start.

`NEEDS` has the needs of each setting (`sidecars.chassis.config.declared_fields`). Most are those of the tables: which
schemes use a setting (`sink_registry`), and with which values of SINK_AUTH (`OF_AUTH`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sidecars.chassis.config.declared_fields import Beside, on
from sidecars.chassis.config.urls import DEFAULT_PORTS
from sidecars.logshipper.config import sink_registry
from sidecars.logshipper.config.sink_settings import SinkSettings

if TYPE_CHECKING:
    from sidecars.chassis.config.declared_fields import Need

ONE_BATCH = ("stdout", "file", "kafka", "syslog", "gelf")
"""Sinks with one batch in flight at most: their `max_in_flight` is 1."""
NEVER_REJECT = ("stdout", "file", "syslog", "gelf", "forward", "relp")
"""Sinks that reject no event."""
OVER_HTTP = ("http", "loki", "elasticsearch", "otlp", "splunk", "gelf_http")
OF_AUTH: Mapping[str, tuple[str | None, ...]] = {
    "sink_token": (None, "bearer"),
    "sink_username": (None, "basic", "aws", "oauth2"),
    "sink_password": (None, "basic", "aws", "oauth2"),
    "sink_region": ("aws",),
    "sink_aws_service": ("aws",),
    "sink_oauth_token_url": ("oauth2",),
    "sink_oauth_scope": ("gcp", "azure", "oauth2"),
    "sink_oauth_client": ("oauth2",),
    "sink_oauth_key": ("oauth2",),
    "sink_oauth_key_id": ("oauth2",),
    "sink_oauth_key_audience": ("oauth2",),
}
"""The values of SINK_AUTH (None: unset) for which a setting of an HTTP sink has a use."""

_SinkNeed = Callable[[SinkSettings, Beside], str]


def _kind(sink: SinkSettings) -> str:
    return sink_registry.of(sink.url).kind


def _scheme_with(field: str) -> _SinkNeed:
    def why(sink: SinkSettings, _beside: Beside) -> str:
        return "" if field in sink_registry.of(sink.url).uses else f"{sink.url.scheme}: has no use for it: leave it out"

    return why


def _auth_for(field: str) -> _SinkNeed:
    kinds = OF_AUTH[field]

    def why(sink: SinkSettings, beside: Beside) -> str:
        if sink.url.scheme.rpartition("+")[2] not in DEFAULT_PORTS or sink.sink_auth in kinds:
            return ""
        auth = beside("sink_auth")
        if sink.sink_auth:
            return f"{auth}={sink.sink_auth} has no use for it: leave it out"
        return f"{auth} is not: set it to {' or '.join(filter(None, kinds))}"

    return why


def _of_kind(kind: str, need: Need) -> _SinkNeed:
    """Return a need that only sinks of one kind have."""
    return lambda sink, beside: need(sink, beside) if _kind(sink) == kind else ""


# -- delivery ------------------------------------------------------------------------------------------------------


def _several_batches(sink: SinkSettings, _beside: Beside) -> str:
    return f"{sink.url.scheme}: has one batch in flight at a time: leave it out" if _kind(sink) in ONE_BATCH else ""


def _status(sink: SinkSettings, _beside: Beside) -> str:
    if _kind(sink) in OVER_HTTP:
        return ""
    return f"{sink.url.scheme}: has no status of HTTP that may be about an event: leave it out"


def _rejects(sink: SinkSettings, _beside: Beside) -> str:
    if _kind(sink) not in NEVER_REJECT or sink.retry_limit is not None or sink.retry_max_age is not None:
        return ""
    return f"{sink.url.scheme}: rejects no event, and RETRY_LIMIT and RETRY_MAX_AGE are not set: leave it out"


def _codings(sink: SinkSettings, _beside: Beside) -> str:
    known = sink_registry.of(sink.url).compression
    return "" if len(known) > 1 else f"{sink.url.scheme}: has no compression: leave it out"


def _members(sink: SinkSettings, beside: Beside) -> str:
    if sink.sink_encoding != "text":
        return ""
    return f"{beside('sink_encoding')}=text sends the lines as they are: leave one out"


# -- Kafka and S3 --------------------------------------------------------------------------------------------------


def _transactions(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.sink_transactions else f"{beside('sink_transactions')} is false: keep one"


def _mechanism(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.sink_sasl else f"{beside('sink_sasl')} is not: which mechanism do the brokers have?"


def _bearer(sink: SinkSettings, beside: Beside) -> str:
    if sink.sink_sasl in (None, "oauthbearer"):
        return _mechanism(sink, beside)
    return f"{beside('sink_sasl')}={sink.sink_sasl} has no use for it: leave it out"


def _oauthbearer(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.sink_sasl == "oauthbearer" else f"{beside('sink_sasl')} is not oauthbearer"


def _token_url(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.sink_oauth_token_url is not None else f"{beside('sink_oauth_token_url')} is not"


def _signature(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.sink_sasl == "aws-msk-iam" else f"{beside('sink_sasl')} is not aws-msk-iam"


def _shared_key(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.sink_token is not None else f"{beside('sink_token')} is not: users come with a shared key"


def _store_with_tls(sink: SinkSettings, beside: Beside) -> str:
    endpoint = sink.sink_endpoint
    return f"{beside('sink_endpoint')} is without TLS" if endpoint and endpoint.scheme == "http" else ""


def _kms(sink: SinkSettings, beside: Beside) -> str:
    return "" if (sink.sink_sse or "").startswith("aws:kms") else f"{beside('sink_sse')} is not aws:kms"


def _compressed(sink: SinkSettings, beside: Beside) -> str:
    return "" if sink.compression != "none" else f"{beside('compression')} is none"


_IN_STORE = _of_kind("s3", _store_with_tls)
_TOKENS = _of_kind("kafka", _token_url)
_CREDENTIALS = (_of_kind("kafka", _mechanism), _of_kind("forward", _shared_key))
_FURTHER: dict[str, tuple[Need, ...]] = {
    "in_flight": (_several_batches,),
    "isolate_after": (_status,),
    "on_reject": (_rejects,),
    "compression": (_codings,),
    "sink_schema": (_members,),
    "sink_token": (_of_kind("kafka", _bearer),),
    "sink_username": _CREDENTIALS,
    "sink_password": _CREDENTIALS,
    "sink_ca": (_IN_STORE,),
    "sink_cert": (_IN_STORE,),
    "sink_key": (on("sink_cert"), _IN_STORE),
    "sink_rotate_count": (on("sink_rotate_size"),),
    "sink_region": (_of_kind("kafka", _signature),),
    "sink_transactional_id": (_transactions,),
    "sink_oauth_token_url": (_of_kind("kafka", _oauthbearer),),
    "sink_oauth_scope": (_TOKENS,),
    "sink_oauth_client": (_TOKENS,),
    "sink_oauth_key": (_TOKENS,),
    "sink_oauth_key_id": (_TOKENS,),
    "sink_oauth_key_audience": (_TOKENS,),
    "sink_session_token": (on("sink_username"),),
    "sink_sse_kms_key_id": (_kms,),
    "sink_content_encoding": (_compressed,),
}
_OF_SCHEMES = frozenset[str]().union(*(scheme.uses for scheme in sink_registry.SCHEMES.values()))


def _needs(field: str) -> tuple[Need, ...]:
    of_tables = [need(field) for need, table in ((_scheme_with, _OF_SCHEMES), (_auth_for, OF_AUTH)) if field in table]
    return (*of_tables, *_FURTHER.get(field, ()))


NEEDS: Mapping[str, tuple[Need, ...]] = {field: _needs(field) for field in sorted({*_OF_SCHEMES, *_FURTHER})}
