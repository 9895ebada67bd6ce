"""What an HTTP answer means to a sink.

No is final only where the body itself is at fault (400 and 422, and what a sink adds to them) and 413 for a single
event. Everything else is tried again for ever, 401, 403 and 404 among it: those are mended by whoever runs this, with a
rotated token or a route, and the lines are safe in the app's files until then.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

from chassis.client import Answer
from sidecars.logshipper.sinks.base import Rejected, TooLarge, TryLater

_TOO_LARGE = 413
_QUOTED = re.compile(r"""(?<!\w)(?:'.*'|".*"|\{.*\})""")  # from the first to the last: rather too much than too little
_SHOWN = 200  # characters
_LONGEST_PAUSE = 3600.0  # seconds; more than any Retry-After that is meant
FINAL = frozenset({400, 422})


def judge(answer: Answer, final: frozenset[int] = FINAL) -> None:
    """Returns for a yes. Raises TooLarge, Rejected or TryLater for all else."""
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        if answer.early:
            raise TryLater(f"the receiver answered {status} before it had the whole batch")
        return
    if status == _TOO_LARGE:
        raise TooLarge
    if status in final:
        raise Rejected(f"the receiver answered {status}")
    raise TryLater(f"the receiver answered {status}", retry_after(answer.headers.get("retry-after", ""), time.time()))


def words(text: str) -> str:
    """What a receiver says of itself, short enough for a log, and without what it quotes: that may be of a line."""
    return _QUOTED.sub("'…'", " ".join(text.split()))[:_SHOWN]


def retry_after(value: str, now: float) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None when it is neither number nor date."""
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _LONGEST_PAUSE)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)
