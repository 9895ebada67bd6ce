"""An app that writes many log lines and rotates its own log: numbered lines, and sometimes a stack trace.

    APP_LINES   number of lines to write before the end (0: write until SIGTERM)
    APP_RATE    lines a second
    APP_LOG     path of the log (/logs/app.log)
    APP_KEEP    number of rotated files that it keeps (2)
    APP_DONE    file to create at the end: it tells the log shipper that no more lines will come

Python's own logging rotates: app.log becomes app.log.1, app.log.1 becomes app.log.2, and the oldest file is deleted.
It uses the standard library alone: an app that only writes files needs no package for its logs to arrive.
"""

import itertools
import logging
import logging.handlers
import os
import signal
import sys
import time
from pathlib import Path

TROUBLE = 500  # one order of 500 fails
NAP = 0.01  # seconds; shorter pauses are added up


def work(order: int) -> None:
    if order % TROUBLE == TROUBLE - 1:
        raise ValueError(f"order {order} has no customer")


def main() -> None:
    lines, rate = int(os.environ.get("APP_LINES", "0")), float(os.environ.get("APP_RATE", "1000"))
    handler = logging.handlers.RotatingFileHandler(
        os.environ.get("APP_LOG", "/logs/app.log"),
        maxBytes=256 * 1024,
        backupCount=int(os.environ.get("APP_KEEP", "2")),
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("app")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    begun = time.monotonic()
    for number in range(lines) if lines else itertools.count():
        try:
            work(number)
        except ValueError:
            log.exception("line %d", number)
        else:
            log.info("line %d of an app that does not know who reads it", number)
        ahead = number / rate - (time.monotonic() - begun)
        if ahead > NAP:
            time.sleep(ahead)
    handler.close()
    if done := os.environ.get("APP_DONE"):
        Path(done).touch()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 gets no signal without a handler
    main()
