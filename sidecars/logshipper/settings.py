"""What logshipper can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import SplitResult

from sidecars.chassis.config.setting_types import (
    Address,
    Secret,
    SettingType,
    address,
    boolean,
    choice,
    comma_separated,
    duration,
    integer,
    pairs,
    path,
    redact_credentials,
    secret,
    size,
    text,
)
from sidecars.chassis.config.settings import ServiceSettings, group, setting, variable
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper import setting_types
from sidecars.logshipper.config import header_pairs, self_ingestion, setting_combinations, sink_registry


def _parse_glob(raw: str) -> str:
    if not raw.startswith("/"):
        raise ValueError("expected absolute paths or globs, such as /logs/*.log")
    return raw


def _parse_headers(raw: str) -> Secret:
    header_pairs.parse(raw)
    return Secret(lambda: raw)


def _parse_on_reject(raw: str) -> Path | None:
    if raw != "drop" and not raw.startswith("/"):
        raise ValueError("expected drop, or an absolute directory for dead letters")
    return None if raw == "drop" else Path(raw)


dead_letters: SettingType[Path | None] = SettingType(
    "drop · directory", _parse_on_reject, lambda value: str(value or "drop")
)


def _parse_attributes(raw: str) -> dict[str, str]:
    return dict(header_pairs.parse_pairs(raw))


glob = SettingType("glob", _parse_glob)
attributes = SettingType("name=value, …", _parse_attributes, header_pairs.show_pairs)
http_headers = SettingType("Name=value, …", _parse_headers, repr, secret=True)
sink_url = SettingType("URL", sink_registry.parse, lambda parts: redact_credentials(parts.geturl()))


_LOKI_LABELS = 12  # beside namespace, pod and filename: it takes 15 (max_label_names_per_series)


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """Files to tail. All inputs go to all sinks; a file that two of them match belongs to the first by name."""

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    paths: tuple[str, ...] = setting(
        comma_separated(glob), "the log files: absolute globs, `**` is any number of directories"
    )
    exclude: tuple[str, ...] | None = setting(
        comma_separated(text), "globs of paths to leave out; here `*` matches `/`, too", default=""
    )
    start_at: str = setting(
        choice("beginning", "end"),
        "where to begin in files that exist when there is no saved position yet",
        default="beginning",
    )
    max_line_size: int = setting(
        size("1KiB", "16MiB"), "how long a line, or an event of several lines, may be", default="1MiB"
    )
    long_lines: str = setting(
        choice("split", "cut"),
        "a longer line is shipped in pieces, or its end is dropped and counted (`cut`); each piece is marked `partial`",
        default="split",
    )
    format: str = setting(
        choice("raw", "json", "logfmt", "cri", "regex"),
        "how an event is read into fields (`cri` is what container runtimes write); what cannot be read is shipped raw",
        default="raw",
    )
    regex: str | None = setting(
        setting_types.groups,
        "with `FORMAT=regex`: matches the whole (first) line of an event, and its named groups are the fields",
        default="",
    )
    time_key: str | None = setting(text, "the field with the event's time; it becomes the record's `time`", default="")
    time_format: str | None = setting(
        setting_types.time_format,
        "how that is written: `rfc3339` (the default), `unix`, `unix_ms`, `unix_us`, `unix_ns`, or a pattern such as "
        "`%d/%b/%Y:%H:%M:%S %z`; without a zone it is UTC",
        default="",
    )
    level_key: str | None = setting(
        text, "the field with the event's level; it becomes the record's `level` and `severity`", default=""
    )
    multiline: str = setting(
        setting_types.multiline,
        "which lines make one event: `none` (each is one), a line and the stack trace or the indented lines behind it, "
        "or (a regex, also written `regex:…`) a line that begins so and all up to the next such",
        default="none",
    )
    multiline_timeout: float = setting(
        duration("10ms", "1m"), "how long the last event of a file waits for further lines", default="1s"
    )
    labels: dict[str, str] | None = setting(
        pairs(setting_types.label), "fields that every record gets, such as `app=shop,env=prod`", default=""
    )
    redact: str | None = setting(
        setting_types.redaction,
        "what is replaced before anything leaves: `email`, `card`, `ipv4`, `ipv6` (all: `personal`), `bearer`, `jwt`, "
        "`apikey`, `password`, `url` (all: `secrets`), and regexes between slashes; of a regex with groups, the groups",
        default="",
    )
    keep: str | None = setting(
        setting_types.search, "only events in which this regex is found are shipped; the others are counted", default=""
    )
    drop: str | None = setting(
        setting_types.search,
        "events in which this regex is found are not shipped, but counted; it outranks `KEEP`",
        default="",
    )


@dataclass(frozen=True, kw_only=True)
class SinkSettings:
    """Where all lines go. Each has positions and a delivery of its own: a dead one never holds up a living one."""

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    url: SplitResult = setting(
        sink_url,
        "where the lines go: `stdout:`, `file:///directory`, `http(s)://…` for NDJSON by POST, `loki+http(s)://…`, "
        "`elasticsearch+http(s)://…/index`, `otlp+http(s)://…`, `forward(+tls)://…`, `syslog+tcp://…` or `syslog+tls://…`",
        suffix="SINK",
    )
    sink_token: Secret | None = setting(secret, "bearer token of an HTTP sink; the shared key of `forward`", default="")
    sink_username: str | None = setting(text, "user of an HTTP sink (basic authentication) or of `forward`", default="")
    sink_password: Secret | None = setting(secret, "the user's password", default="")
    sink_headers: Secret | None = setting(
        http_headers, "further headers of an HTTP sink's requests, such as `X-Scope-OrgID=shop`", default=""
    )
    sink_ca: Path | None = setting(
        path, "PEM file of the authorities to trust, instead of the system's; for the schemes with TLS", default=""
    )
    sink_cert: Path | None = setting(path, "PEM file of our certificate, where the sink asks for one", default="")
    sink_key: Path | None = setting(path, "PEM file of its key, where that is not in the same file", default="")
    sink_rotate_size: int | None = setting(
        size("4KiB", "1TiB"), "for `file:`: a batch that would make the file larger begins a new one", default=""
    )
    sink_rotate_count: int | None = setting(
        integer(1, 100_000), "for `file:`: how many rotated files are kept; all, unless set", default=""
    )
    compression: str = setting(
        choice("none", "gzip", "zstd", "snappy"),
        "of what is sent: `gzip` (HTTP sinks, `forward`), `zstd` (`http`, `forward`), `snappy` with protobuf (`loki`)",
        default="none",
    )
    batch_size: int = setting(
        size("4KiB", "16MiB"),
        "how many bytes of log are sent at once, at most (one longer line excepted)",
        default="512KiB",
    )
    batch_timeout: float = setting(
        duration("0", "1m"), "how long lines may wait for others to be sent with", default="1s"
    )
    request_timeout: float = setting(
        duration("100ms", "10m"), "how long the HTTP sink may take to say yes to a batch", default="30s"
    )
    retry_min: float = setting(duration("10ms", "1h"), "the first pause after a failure; it doubles", default="500ms")
    retry_max: float = setting(
        duration("10ms", "1h"), "the longest pause between retries, which never end", default="30s"
    )
    in_flight: int = setting(
        integer(1, 64),
        "how many batches may be on their way; with more than one, a later batch may arrive before one that is tried "
        "again (`stdout:` and `file:` take one)",
        default="1",
    )
    on_reject: Path | None = setting(
        dead_letters,
        "what becomes of events that the sink will never take: `drop` (they are counted), or a directory for them",
        default="drop",
    )
    give_up_after: float = setting(
        duration("50ms", "1h"),
        "at the end, how long a sink may say nothing before it is given up; one that lately took longer to answer gets "
        "twice as long as it took",
        default="1500ms",
    )


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The whole of it."""

    PREFIX: ClassVar[str] = "LOGSHIPPER"

    inputs: dict[str, InputSettings] = group(InputSettings, anchor="paths")
    sinks: dict[str, SinkSettings] = group(SinkSettings, anchor="url")
    state_dir: Path = setting(
        path, "where the positions are kept: a volume that lives as long as the log files", default="/state"
    )
    scan_interval: float = setting(
        duration("10ms", "1m"), "how often to look for new, renamed and deleted files", default="1s"
    )
    rotate_wait: float = setting(
        duration("0", "1h"),
        "how long a rotated or deleted file must be quiet before its unfinished last line is shipped and it is let go",
        default="30s",
    )
    delete_delivered: bool = setting(
        boolean,
        "delete a rotated file once every sink has all of it and it was quiet for `ROTATE_WAIT`, so that a volume does "
        "not fill",
        default="false",
    )
    drain_quiet: float = setting(
        duration("0", "1h"),
        "after SIGTERM, go on reading until nothing was written for so long: for a plain container, which is told to "
        "stop together with the app",
        default="0",
    )
    done_file: Path | None = setting(
        path, "once this file exists, ship all there is and exit 0: for a Job with a plain container", default=""
    )
    exit_when_idle: float | None = setting(
        duration("100ms"),
        "ship all there is and exit 0 once something was written and then nothing for so long (a Job, plain container)",
        default="",
    )
    otel_service_name: str | None = setting(
        text, "for `otlp`: the resource's `service.name`", env="OTEL_SERVICE_NAME", default=""
    )
    otel_resource_attributes: dict[str, str] | None = setting(
        attributes,
        "for `otlp`: attributes of the resource, percent-encoded",
        env="OTEL_RESOURCE_ATTRIBUTES",
        default="",
    )
    otel_exporter_otlp_headers: Secret | None = setting(
        http_headers,
        "for `otlp`: headers; `SINK_HEADERS` go before",
        env="OTEL_EXPORTER_OTLP_HEADERS",
        default="",
    )
    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default=":9912"
    )

    def check(self) -> Iterator[str]:
        yield from setting_combinations.inputs(self.inputs.values(), _called)
        yield from setting_combinations.sinks(self.sinks.values(), _called)
        yield from self._too_many_labels()
        if sum(sink.url.scheme == "stdout" for sink in self.sinks.values()) > 1:
            yield f"more than one {variable(Settings, 'url')} is stdout: lines of both would be mixed there"
        directories = [sink.url.path for sink in self.sinks.values() if sink.url.scheme == "file"]
        if len(set(directories)) < len(directories):
            yield f"more than one {variable(Settings, 'url')} writes into the same directory: give each its own"
        yield from self._loops()

    def _loops(self) -> Iterator[str]:
        """What we write must not be found by our own globs."""
        for name, sink in self.sinks.items():
            written = {"on_reject": sink.on_reject and str(sink.on_reject)}
            written["url"] = sink.url.path if sink.url.scheme == "file" else None
            for field, folder in written.items():
                for tailed in self.inputs.values() if folder else ():
                    if self_ingestion.would_be_read(f"{folder}/{name}.ndjson", tailed.paths, tailed.exclude or ()):
                        ours, paths = variable(Settings, field, name), variable(Settings, "paths", tailed.name)
                        yield f"{ours} is where {paths} finds it: lines would go round for ever; take another directory"

    def _too_many_labels(self) -> Iterator[str]:
        if any(sink_registry.of(sink.url).module == "loki" for sink in self.sinks.values()):
            for name, tailed in self.inputs.items():
                if len(tailed.labels or {}) > _LOKI_LABELS:
                    called = variable(Settings, "labels", name)
                    yield f"{called} has more than {_LOKI_LABELS} labels: with ours Loki would refuse every line"

    def pod_fields(self) -> dict[str, str]:
        """What the downward API told, by the names that records have for it."""
        fields = {
            "pod": self.pod_name,
            "namespace": self.pod_namespace,
            "pod_uid": self.pod_uid,
            "pod_ip": self.pod_ip,
            "node": self.node_name,
        }
        return {name: value for name, value in fields.items() if value}


def _called(field: str, name: str) -> str:
    return variable(Settings, field, name)
