"""The settings of the live tail: where it listens, and who may look."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecars.chassis.config.declared_fields import on
from sidecars.chassis.config.setting_types import Address, Secret, address, secret
from sidecars.chassis.config.settings import setting
from sidecars.chassis.config.urls import is_loopback, overlap
from sidecars.chassis.runtime.light_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TailSettings:
    """The settings of the live tail. A base of `Settings`."""

    tail_listen: Address = setting(
        address,
        "address of the live tail, which shows the lines to who may reach it: `GET /tail?input=&match=&limit=`; a unix "
        "socket (its mode is 0600), an address of loopback, or with `TAIL_TOKEN` any other",
        default="off",
        heading="Live tail",
    )
    tail_token: Secret | None = setting(
        secret, "bearer token that a client of the live tail must send", default="", needs=(on("tail_listen"),)
    )


def check(settings: TailSettings, admin: Address, variable: Callable[[str], str]) -> Iterator[str]:
    """Yield a sentence for an address that others reach or that the admin server has."""
    listen, token = variable("tail_listen"), variable("tail_token")
    if settings.tail_listen and admin and overlap(settings.tail_listen, admin):
        yield f"{listen}={settings.tail_listen}: {variable('admin_listen')} is {admin}: give each its own address"
    if settings.tail_token is None and is_beyond_loopback(settings.tail_listen):
        yield (
            f"{listen}={settings.tail_listen} would show log lines to other Pods: set {token}_FILE, or listen on a "
            "unix socket or on 127.0.0.1"
        )


def warn(settings: TailSettings, variable: Callable[[str], str]) -> Iterator[str]:
    """Yield a sentence if the token and the lines cross a network without encryption."""
    if settings.tail_token is not None and is_beyond_loopback(settings.tail_listen):
        yield (
            f"the token and the lines of {variable('tail_listen')}={settings.tail_listen} are sent without encryption: "
            "use loopback and kubectl port-forward"
        )


def is_beyond_loopback(listen: Address) -> bool:
    """Return True if other hosts may reach the address."""
    return bool(listen) and not listen.path and not is_loopback(listen.host)
