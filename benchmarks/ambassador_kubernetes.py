"""How soon a change in Kubernetes is used, and what following it costs: `python -m benchmarks.ambassador_kubernetes`.

- A Service is scaled from one Pod to another while requests go on. The measure is the time from the change in the API
  server to the first answer of the new Pod, the longest of several. The API server is that of the tests, on loopback.
- The modules that a `k8s://` upstream loads beyond those of any ambassador: memory and CPU, beside those of httpx.

The exit status is 1 if a figure is missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.figures import Figure, conclude
from tests.ambassador.api_server import ApiServer, credentials, endpoint, endpoint_slice
from tests.ambassador.support import Backend, answering
from tests.support import free_port, wait_until

CHANGES = 20
MOST_MEGABYTES = 3.0
_IMPORT = """
import sys, time
import sidecars.ambassador.app, asyncio, h11, prometheus_client, ssl
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before, began = resident(), time.process_time()
__import__(sys.argv[1])
print(resident() - before, (time.process_time() - began) * 1000)
"""


def seconds_until_used(folder: Path) -> float:
    """Return the longest time from a change of the slices to the first answer of the Pod that is new."""
    api, port, listen, admin = ApiServer(), free_port(), free_port(), free_port()
    pods = [Backend(answering(b"%d" % number), port, host=f"127.0.0.{number}") for number in (2, 3)]
    api.put(endpoint_slice("orders-a", [endpoint("127.0.0.2")], port))
    environ = {
        "PATH": os.environ["PATH"],
        "AMBASSADOR_UPSTREAM": "k8s://orders.shop:http",
        "AMBASSADOR_LISTEN": f"127.0.0.1:{listen}",
        "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "AMBASSADOR_KUBERNETES_API": api.url,
        "AMBASSADOR_KUBERNETES_ACCOUNT": str(credentials(folder / "serviceaccount")),
    }
    program = subprocess.Popen([sys.executable, "-m", "sidecars.ambassador"], env=environ, stderr=subprocess.DEVNULL)
    longest = 0.0
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listen}", trust_env=False) as client:
            wait_until(lambda: _text(client), "an answer")
            for change in range(CHANGES):
                number = 3 - change % 2
                began = time.monotonic()
                api.put(endpoint_slice("orders-a", [endpoint(f"127.0.0.{number}")], port))
                wait_until(lambda number=number: _text(client) == str(number), "the Pod that is new")  # type: ignore[misc] # mypy knows no defaults of lambdas
                longest = max(longest, time.monotonic() - began)
    finally:
        program.terminate()
        program.wait()
        api.stop()
        for pod in pods:
            pod.stop()
    return longest


def _text(client: httpx.Client) -> str:
    try:
        return client.get("/").text
    except httpx.TransportError:
        return ""


def import_cost(module: str) -> tuple[float, float]:
    """Return the megabytes and the milliseconds of CPU that the module takes beyond those of an ambassador."""
    done = subprocess.run([sys.executable, "-c", _IMPORT, module], capture_output=True, text=True, check=True)
    memory, milliseconds = map(float, done.stdout.split())
    return memory, milliseconds


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        used = seconds_until_used(Path(folder))
    ours, theirs = import_cost("sidecars.ambassador.discovery.kubernetes.tasks"), import_cost("httpx")
    return conclude(
        "ambassador_kubernetes",
        [
            Figure("a change of the slices until it is used", used, 1.0, "s", note=f"the longest of {CHANGES}"),
            Figure("memory of the client", ours[0], MOST_MEGABYTES, "MB", note=f"httpx: {theirs[0]:.1f}"),
            Figure("CPU to load it, beside httpx", ours[1] / theirs[1], 1.0, note=f"{ours[1]:.0f} ms"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
