"""The remote storage of the example: takes NDJSON by POST, and says at /pods for each Pod what has arrived, and when.

    {"shop/quiet-0": {"lines": 120, "missing": 0, "repeated": 0, "p50": 0.31, "p99": 0.6}, …}

`missing` are numbers below the highest one that have not arrived. `repeated` are lines that arrived again. The delays
are in seconds, from the writing of a line until its batch is here, over the last 2,000 lines of the Pod.
"""

import json
import os
import time
from collections import deque

from aiohttp import web

LARGEST = 16 * 1024 * 1024  # bytes of a batch
SECOND = 10**9  # nanoseconds
DELAYS = 2_000  # lines of each Pod


class Pod:
    """What has arrived of one Pod."""

    def __init__(self) -> None:
        self.arrivals = bytearray()  # of each number
        self.delays: deque[float] = deque(maxlen=DELAYS)

    def add(self, number: int, delay: float) -> None:
        if number >= len(self.arrivals):
            self.arrivals.extend(bytes(number + 1 - len(self.arrivals)))
        self.arrivals[number] = min(255, self.arrivals[number] + 1)
        self.delays.append(delay)

    def story(self) -> dict[str, float]:
        missing = self.arrivals.count(0)
        repeated = sum(value - 1 for value in self.arrivals if value > 1)
        found = {"lines": len(self.arrivals) - missing, "missing": missing, "repeated": repeated}
        ordered = sorted(self.delays)
        delays = {name: ordered[int(len(ordered) * part)] for name, part in (("p50", 0.5), ("p99", 0.99))}
        return found | {name: round(delay, 3) for name, delay in delays.items()}


pods: dict[str, Pod] = {}


async def take(request: web.Request) -> web.Response:
    now = time.time_ns()
    for line in (await request.read()).splitlines():
        record = json.loads(line)
        pod = pods.setdefault(f"{record['namespace']}/{record['pod']}", Pod())
        pod.add(record["number"], (now - record["written"]) / SECOND)
    return web.Response(status=204)


async def tell(_request: web.Request) -> web.Response:
    return web.json_response({name: pods[name].story() for name in sorted(pods)})


if __name__ == "__main__":
    app = web.Application(client_max_size=LARGEST)
    app.add_routes([web.post("/", take), web.get("/pods", tell)])
    # It ends with 0 at SIGTERM, which the kernel ignores for a process 1 without a handler.
    host, port = os.environ.get("HOST"), int(os.environ.get("PORT", "8080"))
    web.run_app(app, host=host, port=port, print=None, access_log=None)
