"""The settings of one sink: its receiver, the size and compression of batches, and the retries after a failure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sidecars.chassis.config.setting_types import Secret, choice, duration, integer, path_to_read, secret, size, text
from sidecars.chassis.config.settings import Spec, setting
from sidecars.chassis.config.urls import Url
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types, sink_registry
from sidecars.logshipper.config.over_http.http_settings import HttpSettings
from sidecars.logshipper.config.sink_families.delivery_settings import DeliverySettings
from sidecars.logshipper.config.sink_families.kafka_settings import KafkaSettings
from sidecars.logshipper.config.sink_families.s3_settings import S3Settings
from sidecars.logshipper.config.sink_families.schema_settings import SchemaSettings
from sidecars.logshipper.config.sink_families.stream_settings import StreamSettings


@dataclass(frozen=True, kw_only=True)
class SinkSettings(DeliverySettings, HttpSettings, S3Settings, KafkaSettings, StreamSettings, SchemaSettings):
    """The settings of one sink, owned by `Settings.sinks`.

    Each sink gets the lines of all inputs, or of those in `INPUTS`. It has its own positions and its own delivery, so
    that a sink that is down never delays another one.
    """

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    url: Url = setting(
        setting_types.sink_url,
        "receiver of the lines: `stdout:`, `file:///directory`, `http(s)://…` for NDJSON by POST, `loki+http(s)://…`, "
        "`elasticsearch+http(s)://…/index`, `otlp+http(s)://…`, `splunk+http(s)://…`, `s3://bucket/prefix`, "
        "`forward(+tls)://…`, `relp(+tls)://…`, `gelf+http(s)://…`, `gelf+tcp://…`, `gelf+tls://…`, "
        "`nats(+tls)://…/subject`, `kafka(+tls)://broker,broker/topic`, "
        "`syslog+tcp://…` or `syslog+tls://…`",
        suffix="SINK",
        heading="Sinks: address and credentials",
    )
    sink_token: Secret | None = setting(
        secret,
        "bearer token for an HTTP sink, the token for `splunk`, `nats` or `kafka`, or the shared key for `forward`",
        default="",
    )
    sink_username: str | None = setting(
        text,
        "user name for an HTTP sink (basic authentication), `forward`, `nats` or `kafka`; for `s3`: the access key",
        default="",
    )
    sink_password: Secret | None = setting(secret, "password of `SINK_USERNAME`; for `s3`: the secret key", default="")
    sink_headers: Secret | None = setting(
        setting_types.http_headers,
        "additional headers in the requests of an HTTP sink, such as `X-Scope-OrgID=shop`",
        default="",
    )
    sink_ca: Path | None = setting(
        path_to_read,
        "for schemes with TLS: PEM file of the certificate authorities to trust, instead of the system's",
        default="",
    )
    sink_cert: Path | None = setting(
        path_to_read, "PEM file with the client certificate, for a receiver that asks for one", default=""
    )
    sink_key: Path | None = setting(
        path_to_read, "PEM file with the private key of `SINK_CERT`, if that file does not contain it", default=""
    )
    sink_rotate_size: int | None = setting(
        size("4KiB", "1TiB"),
        "for `file:`: the largest size of a file; a batch that would exceed it goes to a new file",
        default="",
        heading="Sinks: files",
    )
    sink_rotate_count: int | None = setting(
        integer(1, 100_000), "for `file:`: the number of rotated files that are kept; unset: all", default=""
    )
    compression: str = setting(
        choice("none", "gzip", "zstd", "snappy", "lz4"),
        "compression of batches: `gzip` (HTTP sinks, `s3`, `forward`, `kafka`), `zstd` (`http`, `s3`, `forward`, "
        "`kafka`), `snappy` (`loki` with protobuf, `kafka`), `lz4` (`kafka`); `s3`: `gzip` if unset",
        default="none",
        heading="Sinks: batches and retries",
    )
    batch_size: int = setting(
        size("4KiB", "256MiB"),
        "the largest number of log bytes in a batch; a single line may be longer; `s3`: `32MiB` if unset",
        default="512KiB",
    )
    batch_timeout: float = setting(
        duration("0", "1h"),
        "the time for which lines may wait for more lines to fill the batch; `s3`: `5m` if unset",
        default="1s",
    )
    request_timeout: float = setting(
        duration("100ms", "10m"), "the time that a receiver has for its response to a batch", default="30s"
    )
    retry_min: float = setting(
        duration("10ms", "1h"),
        "the pause after the first failure; it doubles with each further failure",
        default="500ms",
    )
    retry_max: float = setting(
        duration("10ms", "1h"),
        "the longest pause between two attempts; they never end, unless `RETRY_LIMIT` or `RETRY_MAX_AGE` is set",
        default="30s",
    )
    in_flight: int = setting(
        integer(1, 64),
        "the largest number of batches in flight; with more than one, a later batch may arrive before an earlier one "
        "that is retried (`stdout:` and `file:` always have one); `splunk`: `8` if unset",
        default="1",
    )
    on_reject: Path | None = setting(
        setting_types.dead_letters,
        "the place for rejected events: `drop` (they are only counted), or a directory for dead letters",
        default="drop",
    )
    give_up_after: float = setting(
        duration("50ms", "1h"),
        "after the end has begun: the time for which a sink may be silent before the process stops waiting for it; a "
        "sink whose recent responses took longer gets twice their time; `s3`, `splunk`: `10s` if unset",
        default="1500ms",
    )

    @staticmethod
    def defaults_of(values: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
        """Return the value of a setting that is not set, if the sink's scheme has a default of its own for it."""
        url = values.get("url")
        own = dict(sink_registry.of(url).defaults) if url is not None else {}
        return {spec.field: spec.type.parse(own[spec.field])} if spec.field in own else {}
