"""The monitor of the example: requests `/health` every second, and prints the response when it changes."""

import os
import signal
import sys
import time

import httpx


def response_of(client: httpx.Client, url: str) -> str:
    """Return the status and the first line of the response."""
    try:
        response = client.get(url)
    except httpx.TransportError as error:
        return f"no answer: {error}"
    return f"{response.status_code} {response.text.splitlines()[0]}"


def main() -> None:
    last = ""
    with httpx.Client(timeout=1, trust_env=False) as client:
        while True:
            now = response_of(client, os.environ["MONITOR_URL"])
            if now != last:
                print(now, flush=True)  # noqa: T201 - the output is its purpose
            last = now
            time.sleep(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the kernel sends process 1 only signals with a handler
    main()
