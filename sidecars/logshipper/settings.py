"""The settings of logshipper: those of each input, those of each sink, and those of the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from sidecars.chassis.config.cloud_settings import CloudSettings
from sidecars.chassis.config.setting_types import (
    Address,
    Secret,
    address,
    boolean,
    comma_separated,
    directory_to_write,
    duration,
    path_to_read,
    text,
)
from sidecars.chassis.config.settings import group, setting, variable
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import (
    file_settings,
    setting_combinations,
    setting_types,
    sink_registry,
)
from sidecars.logshipper.config.combinations import input_needs, s3_combinations, sink_needs
from sidecars.logshipper.config.file_settings import FileSettings
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.over_http import http_settings
from sidecars.logshipper.config.over_http.http_settings import ProxySettings
from sidecars.logshipper.config.process_families import tail_settings
from sidecars.logshipper.config.process_families.tail_settings import TailSettings
from sidecars.logshipper.config.sink_settings import SinkSettings


@dataclass(frozen=True, kw_only=True)
class Settings(FileSettings, TailSettings, CloudSettings, ProxySettings):
    """All settings of a process. Loaded once at the start and never changed."""

    PREFIX: ClassVar[str] = "LOGSHIPPER"

    pod_name: str | None = setting(
        text,
        "the Pod's name (downward API), in records as `pod`, and in the names of files and objects",
        env="POD_NAME",
        default="",
    )
    pod_namespace: str | None = setting(
        text,
        "the Pod's namespace (downward API), in records as `namespace`, and in the names of files and objects",
        env="POD_NAMESPACE",
        default="",
    )
    pod_uid: str | None = setting(
        text, "the Pod's UID (downward API), in records as `pod_uid`", env="POD_UID", default=""
    )
    pod_ip: str | None = setting(
        text, "the Pod's address (downward API), in records as `pod_ip`", env="POD_IP", default=""
    )
    node_name: str | None = setting(
        text, "the node's name (downward API), in records as `node`", env="NODE_NAME", default=""
    )
    inputs: dict[str, InputSettings] = group(InputSettings, anchor="paths", needs=input_needs.NEEDS)
    sinks: dict[str, SinkSettings] = group(SinkSettings, anchor="url", needs=sink_needs.NEEDS)
    link_roots: tuple[str, ...] | None = setting(
        comma_separated(setting_types.directory),
        "directories in which log files may be reached through links, such as `/var/log/pods` for the links in "
        "`/var/log/containers`; unset: no link is followed",
        default="",
        heading="State, scans and end",
    )
    state_dir: Path = setting(
        directory_to_write,
        "directory for the positions: a volume that lives as long as the log files",
        default="/state",
    )
    scan_interval: float = setting(
        duration("10ms", "1m"), "the time between two scans for new, renamed and deleted files", default="1s"
    )
    rotate_wait: float = setting(
        duration("0", "1h"),
        "the time for which a rotated or deleted file must be quiet; then its unfinished last line is shipped, and it "
        "is closed",
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
        "after SIGTERM, continue to read until nothing was written for this time: for a plain container, which gets "
        "SIGTERM together with the app",
        default="0",
    )
    done_file: Path | None = setting(
        path_to_read,
        "when this file exists, ship everything that is there and exit 0: for a Job with a plain container",
        default="",
    )
    exit_when_idle: float | None = setting(
        duration("100ms"),
        "ship everything that is there and exit 0 once something was written and then nothing for this time: for a Job "
        "with a plain container",
        default="",
    )
    tz: str | None = setting(
        text,
        "for `TIME_ZONE=local`: the zone, a name such as `Europe/Berlin`; unset: UTC",
        env="TZ",
        default="",
        heading="Time zone and OpenTelemetry",
    )
    otel_service_name: str | None = setting(
        text, "for `otlp`: `service.name` of the resource", env="OTEL_SERVICE_NAME", default=""
    )
    otel_resource_attributes: dict[str, str] | None = setting(
        setting_types.attributes,
        "for `otlp`: attributes of the resource, percent-encoded",
        env="OTEL_RESOURCE_ATTRIBUTES",
        default="",
    )
    otel_exporter_otlp_headers: Secret | None = setting(
        setting_types.http_headers,
        "for `otlp`: headers of the requests; `SINK_HEADERS` override them",
        env="OTEL_EXPORTER_OTLP_HEADERS",
        default="",
    )
    admin_listen: Address = setting(
        address, "address of the admin server: the page, `/livez`, `/readyz`, `/metrics` and `/status`", default=":9912"
    )

    def check(self) -> Iterator[str]:
        """Yield a sentence for each pair of settings that do not fit together."""
        yield from setting_combinations.check(self.inputs, self.sinks, _variable)
        if any(sink.url.scheme == "file" or sink.on_reject is not None for sink in self.sinks.values()):
            from sidecars.logshipper.config.combinations import place_combinations  # noqa: PLC0415 - for such sinks only

            pod = tuple(filter(None, (self.pod_namespace, self.pod_name)))
            yield from place_combinations.check(self.inputs, self.sinks, self.state_dir, pod, _variable)
        yield from http_settings.unusable_proxies(self, self.sinks)
        yield from file_settings.check(self.inputs.values(), self, self.scan_interval)
        yield from http_settings.wrong_auth(self, self.sinks.values(), _variable)
        yield from setting_combinations.local_zone(self.inputs, self.tz, _variable)
        yield from s3_combinations.check(self, self, self.sinks, _variable)
        yield from tail_settings.check(self, self.admin_listen, _variable)

    def warn(self) -> Iterator[str]:
        """Yield a sentence for each secret that is sent without encryption, and for lines that are shown so."""
        yield from setting_combinations.sent_in_clear(self.sinks, self.otel_exporter_otlp_headers, _variable)
        yield from http_settings.tokens_in_clear(self, self.sinks.values(), _variable)
        yield from tail_settings.warn(self, _variable)

    def summary(self) -> str:
        """Return the globs and the receivers. A path of a URL is left out: nobody needs it to know a receiver."""
        paths = [path for one in self.inputs.values() for path in one.paths]
        receivers = [sink_registry.short_name(sink.url) + self._way(sink) for sink in self.sinks.values()]
        return f"ships {', '.join(paths)} to {' and '.join(receivers)}"

    def _way(self, sink: SinkSettings) -> str:
        proxy = http_settings.proxy_of(self, sink)
        return f" through the proxy {proxy}" if proxy else ""

    def further_roots(self) -> Iterator[DeclaredRoot]:
        """Yield the right to rename and remove rotated files, where it is needed, and to read a token for Google."""
        google = self.google_application_credentials
        if google is not None and any(sink.sink_auth == "gcp" for sink in self.sinks.values()):
            from sidecars.chassis.identity import google_federation  # noqa: PLC0415 - few have such a file

            if path := google_federation.token_file(google):
                yield from roots.to_read(path)
        for one in self.inputs.values() if self.delete_delivered else ():
            access = roots.REMOVE | roots.MAKE_REG  # a file gets another name before it is checked and removed
            yield from (DeclaredRoot(roots.glob_base(pattern), access) for pattern in one.paths)

    def pod_fields(self) -> dict[str, str]:
        """Return the fields that describe the Pod, from the variables of the downward API that are set."""
        fields = {
            "pod": self.pod_name,
            "namespace": self.pod_namespace,
            "pod_uid": self.pod_uid,
            "pod_ip": self.pod_ip,
            "node": self.node_name,
        }
        return {name: value for name, value in fields.items() if value}


def _variable(field: str, name: str | None = None) -> str:
    return variable(Settings, field) if name is None else variable(Settings, field, name)
