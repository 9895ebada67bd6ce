"""The monitoring of the example: it knows one thing to ask, `/health`, and prints what it is told when that changes."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request


def told(url: str) -> str:
    """The status and the first line of the answer."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - the URL is the setting
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        status, body = refused.code, refused.read()
    except OSError as error:
        return f"no answer: {error}"
    return f"{status} {body.decode().splitlines()[0]}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 is sent no signal that it has no handler for
    last = ""
    while True:
        now = told(os.environ["MONITOR_URL"])
        if now != last:
            print(now, flush=True)  # noqa: T201 - its log is what it is for
        last = now
        time.sleep(1)
