"""What a route costs: `python -m benchmarks.routed_port [ROUNDS]`.

CPU time of the ambassador for a request of HTTP/1.1 on one connection: on a port with one upstream, on a port with two,
ten and a hundred routes (the last one decides), with a base path and a stripped prefix, and with a path that has to be
read in two ways. By turns; the least of each counts. The compiled form, if it is built.

Then the choice alone, without the request: with two, ten and a hundred rules, of which the last one decides, for a path
and for one with an encoding.
"""

from __future__ import annotations

import subprocess
import sys
import threading

from benchmarks.before_and_after import Origin, Threads, served
from benchmarks.starts import ROOT, environ_of, free_port

ROUNDS = 3
REQUESTS, CONNECTIONS = 2000, 2
PATH = "/health"
CHOICE = """
import time, timeit
from sidecars.ambassador.routing.route_rules import parse_rules
from sidecars.ambassador.routing.route_table import Route, RouteTable
for path in (b"/health", b"/he%61lth"):
    for count in (2, 10, 100):
        text = ", ".join([*(f"/health/{number}" for number in range(count - 1)), "/"])
        table = RouteTable([Route(rule, 0) for rule in parse_rules(text)])
        choose = lambda: table.choose(b"orders:8500", path, b"")
        least = min(timeit.repeat(choose, number=20_000, repeat=7, timer=time.process_time)) / 20_000
        print(f"  {count:3} rules, {path.decode():10} {least * 1e6:5.1f} µs")
"""


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    compiled = (ROOT / "build" / "compiled" / "sidecars").is_dir()
    with Threads(("127.0.0.1", 0), Origin) as origin:
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{origin.server_address[1]}"
        cases = {
            "one upstream": {"UPSTREAM": url},
            "2 routes": shared(url, 1),
            "10 routes": shared(url, 9),
            "100 routes": shared(url, 99),
            "a base path": {"UPSTREAM": f"{url}/api/v2"},
            "a base path, its addresses left": {"UPSTREAM": f"{url}/api/v2", "REWRITE_RESPONSES": "off"},
            "a stripped prefix": {"UPSTREAM": url, "ROUTE": PATH, "STRIP_PREFIX": "true"},
        }
        found: dict[str, float] = {}
        for _ in range(rounds):
            for name, settings in cases.items():
                environ = {f"AMBASSADOR_{key}": value for key, value in settings.items()}
                environ["AMBASSADOR_LISTEN"] = f"127.0.0.1:{free_port()}"
                cost = served("ambassador", ROOT, environ, REQUESTS, CONNECTIONS, compiled=compiled)
                found[name] = min(cost, found.get(name, cost))
        origin.shutdown()
    print(f"CPU a request, {'compiled' if compiled else 'plain Python'}:")
    for name, cost in found.items():
        print(f"  {name:32} {cost:6.1f} µs   {cost / found['one upstream']:.2f} times")
    print("The choice alone:", flush=True)
    environ = environ_of(ROOT, {}, compiled=compiled)
    subprocess.run([sys.executable, "-c", CHOICE], env=environ, check=True)


def shared(url: str, others: int) -> dict[str, str]:
    """Return the settings of a port with so many routes before the one that is taken."""
    rules = ", ".join(f"/health/{number}" for number in range(others))
    return {"OTHER_UPSTREAM": url, "OTHER_ROUTE": rules, "TAKEN_UPSTREAM": url}


if __name__ == "__main__":
    main()
