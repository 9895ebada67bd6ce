"""The settings of work beside the requests of an upstream: hedges, and copies for a mirror."""

from __future__ import annotations

import re

from sidecars.ambassador.config.setting_types import HTTP
from sidecars.chassis.config.declared_fields import Beside, on, that
from sidecars.chassis.config.setting_types import SettingType, choice, duration, integer
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from typing import Any

MOST_HEDGES = 256  # of one upstream at a time

# The values of MIRROR_MARK.
MARK_FIELD, MARK_HOST, MARK_OFF = "field", "host", "off"

_TIMES = duration("1ms", "1h")


@dataclass(frozen=True)
class HedgeAfter:
    """The time after which a hedge begins: a quantile of the response times, or a number of seconds."""

    share: float = 0.0  # such as 0.95, for p95; 0: `seconds` is the time
    seconds: float = 0.0  # 0 with a share, and for `off`

    def __bool__(self) -> bool:
        return bool(self.share or self.seconds)

    def __str__(self) -> str:
        if self.share:
            return f"p{self.share * 100:.0f}"
        return _TIMES.show(self.seconds) if self.seconds else "off"


def _parse_hedge_after(raw: str) -> HedgeAfter:
    if raw == "off":
        return HedgeAfter()
    if found := re.fullmatch(r"p([5-9][0-9])", raw):
        return HedgeAfter(share=int(found[1]) / 100)
    try:
        return HedgeAfter(seconds=_TIMES.parse(raw))
    except ValueError:
        raise ValueError("expected off, a quantile from p50 to p99, or a duration from 1ms to 1h") from None


hedge_after = SettingType("quantile, duration or off", _parse_hedge_after)


@dataclass(frozen=True)
class MirrorTarget:
    """The upstream that gets copies of requests, and their share in percent."""

    name: str
    percent: int

    def __str__(self) -> str:
        return f"{self.name} {self.percent}%"


def _parse_mirror(raw: str) -> MirrorTarget:
    found = re.fullmatch(r"([a-z][a-z0-9_]*)(?:[ \t]+([0-9]{1,3})%)?", raw.lower())
    percent = int(found[2] or 100) if found else 0
    if not found or not 1 <= percent <= 100:  # noqa: PLR2004 - the meaning of percent
        raise ValueError("expected the name of another upstream and a share from 1% to 100%, such as `shadow 10%`")
    return MirrorTarget(found[1], percent)


mirror = SettingType("upstream and share", _parse_mirror)


_ANOTHER = that(
    lambda upstream: upstream.mirror is None or upstream.mirror.name != upstream.name,
    "an upstream cannot be its own mirror: name another one",
)


def _soon_enough(upstream: Any, of: Beside) -> str:
    """Return why no hedge would begin; "" if one may."""
    for field, limit in (("try_timeout", upstream.try_timeout), ("timeout", upstream.timeout)):
        if limit is not None and upstream.hedge_after.seconds >= limit:
            return f"it is not less than {of(field)}, which would end the attempt first: set a smaller value"
    return ""


@dataclass(frozen=True, kw_only=True)
class BesideSettings:
    """The part of the settings of one upstream that is about hedges and copies."""

    hedge_after: HedgeAfter = setting(
        hedge_after,
        "the time without a response after which a request that may safely be repeated is sent to another endpoint, "
        "too, and the first response is taken: `p95` (that quantile of the last response times), a duration, or "
        "`off`; each such hedge is paid from the retry budget",
        default="off",
        needs=(HTTP, _soon_enough),
        heading="Hedges and copies",
    )
    mirror: MirrorTarget | None = setting(
        mirror,
        "another upstream by its name, which gets a copy of a share of the requests, such as `shadow 10%`; its "
        "responses are dropped, and nothing waits for them; unset: no copies",
        default="",
        needs=(HTTP, _ANOTHER),
    )
    mirror_limit: int = setting(
        integer(1, 65535),
        "the number of copies for `MIRROR` that may be under way; a request beyond it is not copied",
        default="128",
        needs=(on("mirror"),),
    )
    mirror_mark: str = setting(
        choice(MARK_FIELD, MARK_HOST, MARK_OFF),
        "how a copy for `MIRROR` can be told from a request: by the `field` `X-Shadow` with the name of the app's "
        "upstream, by `-shadow` behind the name in its `host`, or not at all (`off`)",
        default=MARK_FIELD,
        needs=(on("mirror"),),
    )

    @property
    def has_companion(self) -> bool:
        """True if something happens beside the requests."""
        return bool(self.hedge_after) or self.mirror is not None
