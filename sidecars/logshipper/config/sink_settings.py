"""The settings of one sink: its receiver, the size and compression of batches, and the retries after a failure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sidecars.chassis.config.setting_types import Secret, choice, duration, integer, path_to_read, secret, size, text
from sidecars.chassis.config.settings import setting
from sidecars.chassis.config.urls import Url
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types


@dataclass(frozen=True, kw_only=True)
class SinkSettings:
    """The settings of one sink, owned by `Settings.sinks`.

    Each sink gets the lines of all inputs. It has its own positions and its own delivery, so that a sink that is down
    never delays another one.
    """

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    url: Url = setting(
        setting_types.sink_url,
        "receiver of the lines: `stdout:`, `file:///directory`, `http(s)://…` for NDJSON by POST, `loki+http(s)://…`, "
        "`elasticsearch+http(s)://…/index`, `otlp+http(s)://…`, `forward(+tls)://…`, `syslog+tcp://…` or `syslog+tls://…`",
        suffix="SINK",
    )
    sink_token: Secret | None = setting(
        secret, "bearer token for an HTTP sink, or the shared key for `forward`", default=""
    )
    sink_username: str | None = setting(
        text, "user name for an HTTP sink (basic authentication) or for `forward`", default=""
    )
    sink_password: Secret | None = setting(secret, "password of `SINK_USERNAME`", default="")
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
    )
    sink_rotate_count: int | None = setting(
        integer(1, 100_000), "for `file:`: the number of rotated files that are kept; unset: all", default=""
    )
    compression: str = setting(
        choice("none", "gzip", "zstd", "snappy"),
        "compression of batches: `gzip` (HTTP sinks, `forward`), `zstd` (`http`, `forward`), `snappy` with protobuf "
        "(`loki`)",
        default="none",
    )
    batch_size: int = setting(
        size("4KiB", "16MiB"),
        "the largest number of log bytes in a batch; a single line may be longer",
        default="512KiB",
    )
    batch_timeout: float = setting(
        duration("0", "1m"), "the time for which lines may wait for more lines to fill the batch", default="1s"
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
        duration("10ms", "1h"), "the longest pause between two attempts; attempts never end", default="30s"
    )
    in_flight: int = setting(
        integer(1, 64),
        "the largest number of batches in flight; with more than one, a later batch may arrive before an earlier one "
        "that is retried (`stdout:` and `file:` always have one)",
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
        "sink whose recent responses took longer gets twice their time",
        default="1500ms",
    )
