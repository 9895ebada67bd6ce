"""The settings of the limits of requests to an upstream: how many at once, how many wait, in a time, and how long."""

from __future__ import annotations

import re

from sidecars.ambassador.config.seeing_settings import FIELDS_WITH_A_MEANING
from sidecars.ambassador.config.setting_types import HTTP
from sidecars.ambassador.http.fields import CONTROL_FIELDS
from sidecars.chassis.config.declared_fields import on, that
from sidecars.chassis.config.setting_types import SettingType, choice, duration, integer
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass


def _parse_rate(raw: str) -> str:
    from sidecars.chassis.config import rates  # noqa: PLC0415 - loaded only where the setting is set

    rates.parse_rate(raw)
    return raw


_rate = SettingType("rate", _parse_rate)


def _parse_deadline_header(raw: str) -> str:
    if not _NAME(raw) or raw.lower().encode() in CONTROL_FIELDS | _NOT_THESE:
        raise ValueError("expected the name of a header field for milliseconds, such as x-request-timeout-ms")
    return raw


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}").fullmatch
_NOT_THESE = FIELDS_WITH_A_MEANING | {b"authorization", b"cookie", b"traceparent", b"tracestate"}
_deadline_header = SettingType("header name", _parse_deadline_header)
_LIMIT = on("max_requests", "adaptive_concurrency")
_QUEUE = that(lambda upstream: upstream.max_queued != 0, "{max_queued} is 0, so nothing waits: leave it unset")


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """The part of the settings of one upstream that is about limits. HTTP only."""

    adaptive_concurrency: str = setting(
        choice("off", "on"),
        "a limit of the requests that wait for a response at once, found from the latency of the responses: as many as "
        "the upstream serves without a long queue of its own; further ones wait, or get 503",
        default="off",
        needs=(HTTP,),
        heading="Limits of requests",
    )
    max_requests: int | None = setting(
        integer(1, 65535),
        "the number of requests at once, from their start to the end of their response; further ones wait, or get 503; "
        "unset: no limit",
        default="",
        needs=(HTTP,),
    )
    max_queued: int | None = setting(
        integer(maximum=65535),
        "the number of requests that may wait for one of these two limits; further ones get 503 with `Retry-After`; "
        "unset: as many as the limit is at present",
        default="",
        needs=(_LIMIT,),
    )
    queue_timeout: float = setting(
        duration("10ms", "5m"),
        "the longest time for which a request waits for one of these two limits; then it gets 503 with `Retry-After`",
        default="1s",
        needs=(_LIMIT, _QUEUE),
    )
    rate_limit: str | None = setting(
        _rate,
        "the most requests in a time: `100/s`, `30/m` or `1000/h`; further ones get 429 with `Retry-After`; unset: no "
        "limit",
        default="",
        needs=(HTTP,),
    )
    rate_burst: int | None = setting(
        integer(1, 1_000_000_000),
        "the number of requests that may come at once after a pause; unset: the number of `RATE_LIMIT`",
        default="",
        needs=(on("rate_limit"),),
    )
    deadline_header: str | None = setting(
        _deadline_header,
        "a field such as `x-request-timeout-ms` with the milliseconds in which a response must begin: the app's ends "
        "its request with 504, and each attempt is told what is left of it, of `TIMEOUT` and of `TOTAL_TIMEOUT`; gRPC "
        "has `grpc-timeout` instead; unset: none is read or sent",
        default="",
        needs=(HTTP,),
    )

    @property
    def deadline_fields(self) -> frozenset[bytes]:
        """The field of DEADLINE_HEADER, which is not passed on as it is."""
        return frozenset({self.deadline_header.lower().encode()} if self.deadline_header else ())

    @property
    def limits_concurrency(self) -> bool:
        """True if there is a limit of the requests at once."""
        return self.adaptive_concurrency == "on" or self.max_requests is not None

    @property
    def limits_requests(self) -> bool:
        """True if requests may be queued or refused because of these settings."""
        return self.limits_concurrency or self.rate_limit is not None
