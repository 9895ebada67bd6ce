"""The settings of the way to an upstream's endpoints: through a proxy, and the header before the first byte.

The proxy's URL is parsed by the chassis, whose modules for proxies are loaded only where there is one.
"""

from __future__ import annotations

from pathlib import Path

from sidecars.chassis.config.declared_fields import on, that
from sidecars.chassis.config.setting_types import Address, Secret, SettingType, choice, path_to_read, secret, text
from sidecars.chassis.config.settings import setting
from sidecars.chassis.config.urls import is_loopback
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.ambassador.config.target_types import Target
    from sidecars.chassis.http.proxy.proxies import Proxy

NO_HEADER, VERSION_2 = "off", "v2"  # the values of SEND_PROXY


def _parse_proxy(raw: str) -> Proxy:
    from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded only where the setting is set

    if raw.lower().startswith("socks"):
        raise ValueError("SOCKS is not spoken here: expected the URL of an HTTP proxy, http://[user@]host:port")
    try:
        if "://" in raw:
            return proxies.parse(raw, ("http", "https"))
    except ValueError:
        pass
    missing = "" if "://" in raw else "; it has no scheme: write one of these before it"
    raise ValueError(f"expected http://[user@]host:port or https://[user@]host:port{missing}")


_TLS_PROXY = that(lambda upstream: upstream.proxy.scheme == "https", "{proxy} is without TLS: write https://")
_USER = that(
    lambda upstream: upstream.proxy is None or upstream.proxy.lacks_password,
    "{proxy} must have a user and no password: http://user@host:port",
)
proxy_url = SettingType("URL", _parse_proxy, sensitive=True)


@dataclass(frozen=True, kw_only=True)
class WaySettings:
    """The part of the settings of one upstream that is about the way to its endpoints."""

    proxy: Proxy | None = setting(
        proxy_url,
        "the HTTP proxy through which endpoints are reached, by CONNECT: `http://[user@]host:port`, or `https://…` for "
        "TLS to the proxy; the proxy looks names up; unset: no proxy, whatever `HTTPS_PROXY` is",
        default="",
        heading="Way to the endpoints: proxies",
    )
    proxy_password: Secret | None = setting(
        secret,
        "the password for the user in `PROXY`; `PROXY_PASSWORD_FILE` is read again for each connection",
        default="",
        needs=(on("proxy"), _USER),
    )
    proxy_ca: Path | None = setting(
        path_to_read,
        "PEM file of the authorities to trust for an `https://` proxy, instead of the system's; a new file is used as "
        "soon as it is there",
        default="",
        needs=(
            on("proxy"),
            _TLS_PROXY,
        ),
    )
    no_proxy: str | None = setting(
        text,
        "hosts that are reached without `PROXY`, separated by commas: `example.org` and all below it, `.example.org`, "
        "an address, a network such as `10.0.0.0/8`, or `*`; a host or an address perhaps with a port",
        default="",
        needs=(on("proxy"),),
    )
    send_proxy: str = setting(
        choice(NO_HEADER, VERSION_2),
        "`v2`: each connection to an endpoint begins with a header of the PROXY protocol, version 2, which tells the "
        "app's address (`tcp` and `tls`), or that the connection is the ambassador's own (HTTP, health checks)",
        default=NO_HEADER,
    )

    def is_proxied(self, host: str, port: int) -> bool:
        """Return True if connections to the host, a name or an address, go through the proxy."""
        if self.proxy is None:
            return False
        from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded already

        return proxies.choose("", host, port, {"all": self.proxy}, self.no_proxy or "") is not None

    def is_sent_as_name(self, target: Target) -> bool:
        """Return True if the proxy looks the target up: then its name is one endpoint."""
        is_host = not (target.is_srv or target.is_kubernetes or target.is_unix)
        return is_host and self.is_proxied(target.host, target.port)

    def wrong_ways(self) -> Iterator[tuple[str, str]]:
        """Yield the field of each setting that contradicts another one, and a clause that says why."""
        proxy = self.proxy
        if proxy is None:
            return
        if self.no_proxy:
            from sidecars.chassis.http.proxy import proxies  # noqa: PLC0415 - loaded already

            for entry in proxies.entries_without_effect(self.no_proxy):
                yield "no_proxy", f"has {entry}, which covers no host: expected host, .domain, address, network or *"

    def ways_in_clear(self) -> Iterator[tuple[str, str]]:
        """Yield the field of each secret that crosses a network without encryption, and a clause that says so."""
        proxy = self.proxy
        if proxy is not None and proxy.scheme == "http" and proxy.has_credentials and not is_loopback(proxy.host):
            field = "proxy_password" if self.proxy_password is not None else "proxy"
            whose = "is" if self.proxy_password is not None else "has credentials, which are"
            place = Address(proxy.host, proxy.port)
            yield field, f"{whose} sent to the proxy {place} without encryption: use https:// if the proxy has TLS"
