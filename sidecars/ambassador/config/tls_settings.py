"""The settings of TLS to an upstream's endpoints: whom to trust, and who this process is."""

from __future__ import annotations

from pathlib import Path

from sidecars.ambassador.config import setting_types
from sidecars.chassis.config.declared_fields import on
from sidecars.chassis.config.setting_types import choice, path_to_read
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """The part of the settings of one upstream that is about TLS."""

    tls_ca: Path | None = setting(
        path_to_read,
        "`https` and `tls`: PEM file of the authorities to trust, instead of the system's; a new file is used as soon "
        "as it is there",
        default="",
        needs=(setting_types.TLS,),
        heading="TLS to the upstream",
    )
    tls_cert: Path | None = setting(
        path_to_read,
        "`https` and `tls`: PEM file of the client certificate, for an upstream that asks for one; a new file is used "
        "as soon as it is there",
        default="",
        needs=(setting_types.TLS,),
    )
    tls_key: Path | None = setting(
        path_to_read,
        "PEM file with the private key of `TLS_CERT`, if that file does not contain it; a new file is used as soon as "
        "it is there",
        default="",
        needs=(
            setting_types.TLS,
            on("tls_cert"),
        ),
    )
    tls_server_name: str | None = setting(
        setting_types.host_name,
        "`https` and `tls`: the name that the upstream's certificate must have, instead of the host in `UPSTREAM` (of "
        "SRV records: the name behind `_service._proto`)",
        default="",
        needs=(setting_types.TLS,),
    )
    tls_min_version: str = setting(
        choice("1.2", "1.3"), "`https` and `tls`: the oldest version of TLS", default="1.2", needs=(setting_types.TLS,)
    )
    tls_alpn: tuple[str, ...] | None = setting(
        setting_types.alpn,
        "`tls` only: the protocols to offer by ALPN; `https` offers those of `PROTOCOL`",
        default="",
        needs=(setting_types.TLS_TUNNEL,),
    )
    tls_negotiation: str = setting(
        choice(setting_types.BY_REQUEST, setting_types.DIRECT),
        "`tls+postgres` only: how TLS begins, as in `sslnegotiation` of libpq: `postgres` asks the server first, "
        "`direct` begins at once and needs PostgreSQL 17",
        default=setting_types.BY_REQUEST,
        needs=(setting_types.POSTGRES,),
    )
