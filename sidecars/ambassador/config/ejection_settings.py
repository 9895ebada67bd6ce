"""The settings of ejection by the share of failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecars.ambassador.config import setting_types
from sidecars.chassis.config.declared_fields import on
from sidecars.chassis.config.setting_types import integer
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EjectionSettings:
    """The part of the settings of one upstream that is about ejection by the share of failures."""

    eject_failure_rate: float | None = setting(
        setting_types.percent,
        "the share of failures in ten seconds at which an endpoint is ejected, if it is also clearly worse than all "
        "others together (six standard deviations); unset: only failures in a row eject",
        default="",
        needs=(setting_types.EJECTIONS,),
        heading="Ejection by failure rate",
    )
    eject_volume: int = setting(
        integer(10, 1_000_000),
        "the number of attempts in ten seconds from which `EJECT_FAILURE_RATE` judges an endpoint",
        default="50",
        needs=(on("eject_failure_rate"),),
    )


def check_ejection(upstream: EjectionSettings, of: Callable[[str], str]) -> Iterator[str]:
    """Yield a sentence for each contradiction. `of` returns the variable of a field."""
    if upstream.eject_failure_rate is not None and not upstream.eject_failure_rate:
        yield f"{of('eject_failure_rate')}=0%: expected at least 1%, or leave it unset"
