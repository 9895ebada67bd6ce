"""Make the admission queue of an upstream, and its limits. Parts that few upstreams need are loaded only for these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.ambassador.admission.admission_queue import CallSoon
from sidecars.ambassador.config.upstream_settings import UpstreamSettings

if TYPE_CHECKING:
    from sidecars.ambassador.admission.deadline_field import DeadlineField
    from sidecars.ambassador.admission.limited_admission import LimitedAdmission


def make_limits(settings: UpstreamSettings, call_soon: CallSoon) -> LimitedAdmission | None:
    """Return the admission of an upstream that has limits."""
    if not settings.limits_requests:
        return None
    from sidecars.ambassador.admission.limited_admission import LimitedAdmission  # noqa: PLC0415 - see above

    return LimitedAdmission(call_soon, settings)


def make_deadline_field(settings: UpstreamSettings) -> DeadlineField | None:
    """Return the field of DEADLINE_HEADER, if it is set."""
    if settings.deadline_header is None:
        return None
    from sidecars.ambassador.admission.deadline_field import DeadlineField  # noqa: PLC0415 - see above

    return DeadlineField(settings.deadline_header, settings.timeout, settings.total_timeout)
