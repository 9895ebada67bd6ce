"""What logshipper can be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from chassis.kinds import (
    Address,
    Kind,
    Secret,
    address,
    choice,
    comma_separated,
    duration,
    pairs,
    path,
    secret,
    size,
    text,
    url,
    without_credentials,
)
from chassis.settings import ServiceSettings, group, setting, variable

_HTTP = url("http", "https")
_SINKS = "expected stdout:, file:///directory, http://host[:port]/path or https://host[:port]/path"


def _parse_glob(raw: str) -> str:
    if not raw.startswith("/"):
        raise ValueError("expected absolute paths or globs, such as /logs/*.log")
    return raw


def _parse_sink(raw: str) -> SplitResult:
    parts = urlsplit(raw)
    if parts.scheme == "stdout" and raw in ("stdout:", "stdout://"):
        return parts
    if (
        parts.scheme == "file"
        and not parts.netloc
        and parts.path.startswith("/")
        and not (parts.query or parts.fragment)
    ):
        return parts
    if parts.scheme not in ("http", "https"):
        raise ValueError(_SINKS)
    found = _HTTP.parse(raw)
    if "@" in found.netloc:
        raise ValueError("expected a URL without credentials; a bearer token belongs in the sink's SINK_TOKEN")
    return found


glob = Kind("glob", _parse_glob)
sink_url = Kind("URL", _parse_sink, lambda parts: without_credentials(parts.geturl()))


@dataclass(frozen=True, kw_only=True)
class Input:
    """Files to tail. All inputs go to all sinks; a file that two of them match belongs to the first by name."""

    name: str
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
        size("1KiB", "16MiB"), "a longer line is shipped in pieces, each marked `partial`", default="1MiB"
    )
    format: str = setting(
        choice("raw", "json", "logfmt", "cri", "regex"),
        "how a line is read: `regex` makes fields of the named groups of `REGEX`",
        default="raw",
    )
    regex: str | None = setting(text, "for `FORMAT=regex`: its named groups become fields", default="")
    time_key: str | None = setting(text, "the field that holds the event's time", default="")
    time_format: str | None = setting(text, "how that time is written", default="")
    level_key: str | None = setting(text, "the field that holds the event's level", default="")
    multiline: str = setting(
        text,
        "which lines make one event: `none` (each is one), `java`, `python`, `go`, `indent`, or a regex that the "
        "first line of an event matches",
        default="none",
    )
    multiline_timeout: float = setting(
        duration("10ms", "1m"), "how long the last event of a file waits for further lines", default="1s"
    )
    labels: dict[str, str] | None = setting(
        pairs(), "what every record carries besides, such as `app=shop`", default=""
    )
    redact: str | None = setting(text, "what is blackened", default="")
    keep: str | None = setting(text, "only events that this regex matches are shipped", default="")
    drop: str | None = setting(text, "events that this regex matches are not shipped", default="")


@dataclass(frozen=True, kw_only=True)
class Sink:
    """Where all lines go. Each has positions and a delivery of its own: a dead one never holds up a living one."""

    name: str
    sink: SplitResult = setting(
        sink_url, "where the lines go: `stdout:`, `file:///directory`, or `http(s)://…` for NDJSON by POST"
    )
    sink_token: Secret | None = setting(secret, "bearer token for an HTTP sink", default="")
    sink_username: str | None = setting(text, "user name for the sink", default="")
    sink_password: Secret | None = setting(secret, "password for the sink", default="")
    sink_headers: Secret | None = setting(
        secret, "further headers of each request, such as `X-Scope-OrgID=shop`", default=""
    )
    sink_ca: Path | None = setting(path, "CA certificates that the sink's certificate is checked by", default="")
    sink_cert: Path | None = setting(path, "our certificate for the sink", default="")
    sink_key: Path | None = setting(path, "the key of our certificate", default="")
    compression: str = setting(
        choice("none", "gzip", "zstd", "snappy"), "how requests are compressed, where the sink has it", default="none"
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


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The whole of it."""

    PREFIX: ClassVar[str] = "LOGSHIPPER"

    inputs: dict[str, Input] = group(Input, anchor="paths")
    sinks: dict[str, Sink] = group(Sink, anchor="sink")
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
    admin_listen: Address = setting(
        address, "where `/livez`, `/readyz`, `/metrics` and `/status` answer", default=":9912"
    )

    def check(self) -> Iterator[str]:
        for name, sink in self.sinks.items():
            if sink.retry_min > sink.retry_max:
                shortest, longest = variable(Settings, "retry_min", name), variable(Settings, "retry_max", name)
                yield f"{shortest} is longer than {longest}: the first pause cannot exceed the longest"
        users = [sink for sink in self.sinks.values() if sink.sink.scheme in ("http", "https")]
        if not users and any(sink.sink_token for sink in self.sinks.values()):
            yield f"{variable(Settings, 'sink_token')} is set, but no sink is http:// or https:// and would send it"
        if sum(sink.sink.scheme == "stdout" for sink in self.sinks.values()) > 1:
            yield f"more than one {variable(Settings, 'sink')} is stdout: lines of both would be mixed there"
        directories = [sink.sink.path for sink in self.sinks.values() if sink.sink.scheme == "file"]
        if len(set(directories)) < len(directories):
            yield f"more than one {variable(Settings, 'sink')} writes into the same directory: give each its own"

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
