"""The monitor of the example: requests `/health` every second, and prints the response when it changes."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request


def response_of(url: str) -> str:
    """Return the status and the first line of the response."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - the URL is the setting
            status, body = response.status, response.read()
    except urllib.error.HTTPError as refused:
        status, body = refused.code, refused.read()
    except OSError as error:
        return f"no answer: {error}"
    return f"{status} {body.decode().splitlines()[0]}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel sends process 1 only signals with a handler
    last = ""
    while True:
        now = response_of(os.environ["MONITOR_URL"])
        if now != last:
            print(now, flush=True)  # noqa: T201 - the output is its purpose
        last = now
        time.sleep(1)
