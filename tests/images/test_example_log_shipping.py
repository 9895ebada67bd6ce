"""examples/log-shipping in real containers: the promises of its README, tested from outside."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.images.support import PATIENCE, docker, state
from tests.support import ROOT, wait_until

pytestmark = pytest.mark.engine

FILE = ROOT / "examples/log-shipping/compose.yaml"


@dataclass
class Example:
    project: str

    def compose(self, *arguments: str | Path) -> str:
        file = ("--project-name", self.project, "--file", FILE, "--profile", "job")
        return docker("compose", *file, *arguments, environ={"LOGSHIPPER_ADMIN": "0", "VIEW_PORT": "0"})

    def container(self, service: str) -> str:
        (found,) = self.compose("ps", "--all", "--quiet", service).split()
        return found

    def numbers(self, receiver: str) -> Counter[int]:
        """Count the arrivals of each of the app's lines at a receiver, without repeats of one id."""
        records = [json.loads(line) for line in docker("logs", self.container(receiver)).splitlines()]
        return numbers_in("\n".join({record["id"]: record["message"] for record in records}.values()))

    def view(self, path: str) -> str:
        """Return a page of the view; "" while it does not answer."""
        port = self.compose("port", "view", "8090").strip().rpartition(":")[2]
        try:
            response = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=30)
        except httpx.TransportError:
            return ""
        return response.text if response.status_code == 200 else ""

    def stored(self) -> int:
        """Return the number of lines in the objects."""
        sums = self.view("/sums").split()
        return int(sums[2]) if sums else 0

    def has_more_than(self, lines: int) -> bool:
        return self.stored() > lines


def numbers_in(text: str) -> Counter[int]:
    """Count each of the app's numbers in its lines; a stack trace has other ones."""
    return Counter(map(int, re.findall(r"^\S+ \S+ [A-Z]+ line (\d+)", text, re.MULTILINE)))


@pytest.fixture
def example() -> Iterator[Example]:
    made = Example(f"sidecars-test-{uuid.uuid4().hex[:8]}")
    try:
        yield made
    except BaseException:
        print(made.compose("ps", "--all"), made.compose("logs", "--no-color", "--tail", "40"))  # noqa: T201 - what went wrong
        raise
    finally:
        made.compose("down", "--volumes", "--timeout", "5")


def test_a_sink_that_was_down_while_the_app_rotated_gets_every_line(example: Example) -> None:
    example.compose("up", "--build", "--detach", "--quiet-pull", "pod", "logshipper", "app", "storage", "audit")
    wait_until(lambda: example.numbers("storage"), "lines arrive", PATIENCE)
    docker("stop", example.container("storage"))
    before = max(example.numbers("storage"))
    wait_until(lambda: max(example.numbers("audit")) > before + 10_000, "the other one gets lines", PATIENCE)
    docker("start", example.container("storage"))
    example.compose("stop", "app")
    written = example.numbers("audit")
    wait_until(lambda: len(example.numbers("storage")) >= len(written), "it catches up", PATIENCE)
    example.compose("stop", "logshipper")
    assert state(example.container("logshipper"))["ExitCode"] == 0
    for receiver in ("storage", "audit"):
        found = example.numbers(receiver)
        assert found == Counter(range(max(found) + 1)), receiver
    assert example.numbers("storage") == example.numbers("audit")


def test_the_view_shows_each_line_once_after_kill_nine_and_an_outage_of_the_store(example: Example) -> None:
    example.compose("up", "--build", "--detach", "--quiet-pull", "app", "view")
    wait_until(lambda: example.stored() > 5000, "the first objects", PATIENCE)
    for _ in range(2):
        example.compose("kill", "logshipper")
        example.compose("start", "logshipper")
        before = example.stored()
        wait_until(partial(example.has_more_than, before), "more objects", PATIENCE)
    example.compose("stop", "objects")
    assert example.view("/sums") == "", "the view says that the store does not answer"
    example.compose("start", "objects")
    wait_until(lambda: example.stored() > 0, "the store has kept its objects", PATIENCE)
    example.compose("stop", "app", "logshipper")
    assert state(example.container("logshipper"))["ExitCode"] == 0
    sums = example.view("/sums")
    assert ": 0 missing before number" in sums
    assert sums.endswith(", 0 bytes twice\n")
    keys = re.findall(r'href="(/objects/[^"]+)"', example.view("/"))
    found = numbers_in("".join(map(example.view, keys)))
    assert len(found) > 20_000
    assert found == Counter(range(max(found) + 1))


LATE = """
services:
  late:
    image: registry.invalid/example/noisy-app:1
    pull_policy: never
    profiles: [job]
    entrypoint: ["python3", "-c", "import time; time.sleep(3)"]
  job-logshipper:
    depends_on:
      late: { condition: service_completed_successfully }
"""


def test_the_job_ends_by_itself_with_every_line_delivered_although_its_logshipper_starts_late(
    example: Example, tmp_path: Path
) -> None:
    """Without the order in the compose file the app would rotate its first lines away before the logshipper starts."""
    late = tmp_path / "late.yaml"
    late.write_text(LATE)
    example.compose("--file", late, "up", "--build", "--detach", "--quiet-pull", "job-app", "job-logshipper")
    assert docker("wait", example.container("job-logshipper")).strip() == "0"
    assert state(example.container("job-logshipper"))["StartedAt"] < state(example.container("job-app"))["StartedAt"]
    for receiver in ("storage", "audit"):
        assert example.numbers(receiver) == Counter(range(20_000)), receiver
    example.compose("up", "--build", "--detach", "--quiet-pull", "view")
    wait_until(lambda: example.stored() == 20_000, "each event once", PATIENCE)
    assert example.view("/sums").endswith(": 0 missing before number 20000, 0 bytes twice\n")
