"""The log files of logshipper's benchmark: lines of 160 bytes in Logback's format, a thousand for each second.

One line of 50 has a text for redaction: an email address, a card number or an IPv4 address.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

_MESSAGES = (
    "order {} accepted for customer {}, total {}.{:02} EUR, paid by card",
    "cache miss for key shop:basket:{}, loading from replica {} took {}.{:02} ms",
    'GET "/api/v1/items/{}" answered {} after {}.{:02} ms to a client in region eu-central',
)
_PERSONAL = (
    "mail to customer.{}@example.com about order {} sent in {}.{:02} ms",
    "order {} paid with 4111 1111 1111 1111 by {} in {}.{:02} s",
    "login {} from 10.20.30.40 as {} took {}.{:02} ms",
)
_TRACE = "java.lang.IllegalStateException: no stock\n" + "".join(
    f"\tat com.example.shop.order.internal.OrderService{number}.take(OrderService{number}.java:{number})\n"
    for number in range(10, 30)
)


def write_log(path: Path, size: int, kind: str = "java") -> None:
    """Write lines of 160 bytes: text (`java`), JSON (`json`), or text with a stack trace after one line of 100
    (`traces`). `cri`: those of JSON, as a container runtime writes them.
    """
    rng, now = random.Random(1), 1767323045.0
    with path.open("wb") as file:
        written = 0
        while written < size:
            block = []
            for _ in range(5000):
                now += rng.expovariate(1000)
                block.append(_line(rng, now, kind))
            written += file.write("".join(block).encode())


def _line(rng: random.Random, now: float, kind: str) -> str:
    numbers = rng.randrange(10**9), rng.randrange(10**6), rng.randrange(1000), rng.randrange(100)
    message = rng.choice(_PERSONAL if rng.randrange(50) == 0 else _MESSAGES).format(*numbers)
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}"
    thread = f"http-nio-8080-exec-{rng.randrange(100)}"
    trace = f"trace={rng.getrandbits(128):032x}{rng.getrandbits(256):064x}"
    if kind in ("json", "cri"):
        event = {"time": clock.replace(" ", "T") + "Z", "level": "INFO", "thread": thread, "logger": "shop.Order"}
        head = json.dumps({**event, "message": ""}, separators=(",", ":"))[:-2]
        line = f"{head}{json.dumps(f'{message} {trace}'[: 156 - len(head)])[1:]}}}\n"
        return line if kind == "json" else f"{clock.replace(' ', 'T')}456789Z stdout F {line}"
    line = f"{clock} INFO  [{thread}] shop.Order - {message} {trace}"[:159] + "\n"
    return line + (_TRACE if kind == "traces" and rng.randrange(100) == 0 else "")
