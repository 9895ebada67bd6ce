"""What an HTTP answer means to a sink.

No is final only where the body itself is at fault (400 and 422, and what a sink adds to them) and 413 for a single
event. Everything else is tried again for ever, 401, 403 and 404 among it: those are mended by whoever runs this, with a
rotated token or a route, and the lines are safe in the app's files until then.
"""

from __future__ import annotations

import re
import time

from chassis.client import Answer
from chassis.retry_after import retry_after
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
    raise TryLater(f"the receiver answered {status}", asked_pause(answer))


def words(text: str) -> str:
    """What a receiver says of itself, short enough for a log, and without what it quotes: that may be of a line."""
    return _QUOTED.sub("'…'", " ".join(text.split()))[:_SHOWN]


def asked_pause(answer: Answer) -> float | None:
    """Return the seconds that the answer's Retry-After asks for, at most an hour, or None if it does not say."""
    return retry_after(answer.headers.get("retry-after", ""), time.time(), _LONGEST_PAUSE)
