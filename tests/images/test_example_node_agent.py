"""examples/node-agent in real containers: one agent for all Pods of a node, beside ten noisy ones."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.images.support import PATIENCE, docker, state
from tests.support import ROOT, get, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/node-agent/compose.yaml"
PODS = {"shop/quiet-0", *(f"batch/noisy-{number}" for number in range(10))}


class Example:
    """The node of the compose file."""

    def __init__(self) -> None:
        self._project = f"sidecars-test-{uuid.uuid4().hex[:8]}"

    def compose(self, *arguments: str) -> str:
        # A busy machine ships 10,000 lines a second with a delay: the agent would end before its last line.
        environ = {"COLLECTOR": "0", "LOGSHIPPER_ADMIN": "0", "NODE_RATE": "100"}
        return docker("compose", "--project-name", self._project, "--file", FILE, *arguments, environ=environ)

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return what the collector says of each Pod; nothing as long as it does not listen."""
        try:
            address = self.compose("port", "collector", "8080").strip()
            found: dict[str, dict[str, Any]] = get(f"http://{address}/pods").json()
        except httpx.TransportError:
            return {}
        return found

    def fewest(self) -> int:
        found = self.pods()
        return min((one["lines"] for one in found.values()), default=0) if found.keys() == PODS else 0


@pytest.fixture
def example() -> Iterator[Example]:
    made = Example()
    try:
        yield made
    except BaseException:
        print(made.compose("ps", "--all"), made.compose("logs", "--no-color", "--tail", "40"))  # noqa: T201 - what went wrong
        raise
    finally:
        made.compose("down", "--volumes", "--timeout", "5")


def check_rights(container: str) -> None:
    """Check that the agent has one capability, and that Landlock is in force."""
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9912/status', timeout=60).read().decode())"
    told = json.loads(docker("exec", container, "/usr/bin/python3", "-I", "-c", ask))
    assert told["confinement"]["landlock"]
    read = "print(open('/proc/1/status').read())"
    lines = docker("exec", container, "/usr/bin/python3", "-I", "-c", read).splitlines()
    (bits,) = [line.split()[1] for line in lines if line.startswith("CapEff")]
    assert int(bits, 16) == 1 << 2, "DAC_READ_SEARCH (2 in linux/capability.h) and nothing else"


def test_the_agent_with_one_capability_misses_nothing_although_it_is_killed(example: Example) -> None:
    example.compose("up", "--build", "--detach", "--quiet-pull")
    wait_until(lambda: example.fewest() >= 20, "lines of all Pods", PATIENCE)
    check_rights(example.compose("ps", "--quiet", "logshipper").strip())
    example.compose("kill", "--signal", "KILL", "logshipper")
    example.compose("start", "logshipper")
    before = example.fewest()
    wait_until(lambda: example.fewest() >= before + 20, "lines of all Pods again", PATIENCE)
    example.compose("stop", "node")
    example.compose("stop", "logshipper")
    assert state(example.compose("ps", "--all", "--quiet", "logshipper").strip())["ExitCode"] == 0
    assert {name: one["missing"] for name, one in example.pods().items()} == dict.fromkeys(PODS, 0)
