"""The twin of examples/log-shipping: its app and the settings of its manifests, as processes on loopback.

A laptop has no Pod: mount paths are folders, and the names of Services are addresses. Everything else is as in the
example.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Start
from tests.logshipper.receivers.object_store import ObjectStore
from tests.logshipper.support import Receiver, metric, status
from tests.support import ROOT, Program, free_port, wait_until

EXAMPLE = ROOT / "examples" / "log-shipping"


SECRET = "not-a-secret-of-the-shipper"


def container(manifest: str, name: str) -> dict[str, str]:
    """Return the variables of the container in the manifest, unchanged."""
    document = next(iter(yaml.safe_load_all((EXAMPLE / manifest).read_text())))
    spec = document["spec"].get("template", document)["spec"]
    (found,) = (item for item in [*spec.get("initContainers", []), *spec["containers"]] if item["name"] == name)
    return {item["name"]: item["value"] for item in found["env"] if "value" in item}


class Twin:
    """The Pod of a manifest: its app, its logshipper, and the receivers in the settings of its sinks.

    The object store is in the process of the test, unless `endpoint` is the address of another one.
    """

    def __init__(self, folder: Path, start: Start, manifest: str, endpoint: str = "") -> None:
        self.folder = folder
        self.ports = {"storage": free_port(), "audit": free_port()}
        self.admin = free_port()
        self.store = ObjectStore()
        self.store.secrets = {"shipper": SECRET}
        self.endpoint = endpoint or self.store.endpoint
        self._start = start
        self._manifest = manifest
        (folder / "logs").mkdir()

    def logshipper(self, **further: str) -> Program:
        environ = container(self._manifest, "logshipper")
        for name, port in self.ports.items():
            variable = f"LOGSHIPPER_{name.upper()}_SINK"
            assert environ[variable] == f"http://{name}:8080/"
            environ[variable] = f"http://127.0.0.1:{port}/"
        assert environ["LOGSHIPPER_ARCHIVE_SINK_ENDPOINT"] == "http://objects:8333"
        environ |= {
            "LOGSHIPPER_ARCHIVE_SINK_ENDPOINT": self.endpoint,
            "LOGSHIPPER_ARCHIVE_SINK_PASSWORD": SECRET,
            **further,
        }
        environ = {name: self._here(value) for name, value in environ.items()}
        return self._start(
            "logshipper",
            **environ,
            LOGSHIPPER_STATE_DIR=str(self.folder / "state"),
            LOGSHIPPER_ADMIN_LISTEN=f"127.0.0.1:{self.admin}",
        )

    def app(self, **environ: str) -> subprocess.Popen[bytes]:
        variables = container(self._manifest, "app") | {"APP_LOG": "/logs/app.log"} | environ
        variables = {name: self._here(value) for name, value in variables.items()}
        return subprocess.Popen([sys.executable, str(EXAMPLE / "app.py")], env=variables)

    def _here(self, value: str) -> str:
        return f"{self.folder}{value}" if value.startswith("/logs/") else value

    def pending(self, sink: str) -> int:
        found: int = status(self.admin)["sinks"][sink]["pending_bytes"]
        return found


Twins = Callable[..., Twin]


@pytest.fixture
def twins(tmp_path: Path, start: Start) -> Iterator[Twins]:
    """Yield a function that makes the twin of a manifest."""
    made: list[Twin] = []

    def make(manifest: str, endpoint: str = "") -> Twin:
        made.append(Twin(tmp_path, start, manifest, endpoint))
        return made[-1]

    yield make
    for twin in made:
        twin.store.close()


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    running: list[Receiver] = []
    yield running
    for receiver in running:
        receiver.close()


def numbers(receiver: Receiver) -> Counter[int]:
    """Count the arrivals of each of the app's lines, without repeats of one id."""
    return numbers_of({record["id"]: record for record in receiver.records()}.values())


def numbers_of(records: Iterable[dict[str, Any]]) -> Counter[int]:
    """Count the arrivals of each of the app's lines."""
    found = (re.search(r"line (\d+)", record["message"]) for record in records)
    return Counter(int(match[1]) for match in found if match)


def test_one_sink_is_down_while_the_app_rotates_and_both_have_every_line_in_the_end(
    tmp_path: Path, twins: Twins, receivers: list[Receiver]
) -> None:
    twin = twins("pod.yaml")
    audit = Receiver(twin.ports["audit"])
    receivers.append(audit)
    program = twin.logshipper()
    program.wait_ready(twin.admin)
    app = twin.app(APP_LINES="15000", APP_RATE="6000")
    assert app.wait(60) == 0
    assert (tmp_path / "logs" / "app.log.2").exists(), "it did rotate"
    wait_until(lambda: len(numbers(audit)) == 15_000, "the living sink has every line")
    assert twin.pending("storage") > 1_000_000
    storage = Receiver(twin.ports["storage"])
    receivers.append(storage)
    wait_until(lambda: twin.pending("storage") == 0, "the other one catches up")
    assert program.stop() == 0
    for receiver in receivers:
        assert numbers(receiver) == Counter(range(15_000))
        traces = [record["message"] for record in receiver.records() if "Traceback" in record["message"]]
        assert len(set(traces)) == 30
        assert all(trace.endswith("has no customer") for trace in traces), "a stack trace is one event"
        assert {record["app"] for record in receiver.records()} == {"noisy"}
    assert numbers_of(twin.store.records()) == Counter(range(15_000)), "once in the objects, without dropping repeats"
    assert all(key.startswith("noisy/20") for key in twin.store.objects)


def test_the_job_ends_with_every_line_shipped_although_a_sink_was_down_when_its_app_ended(
    tmp_path: Path, twins: Twins, receivers: list[Receiver]
) -> None:
    twin = twins("job.yaml")
    receivers += [Receiver(port) for port in twin.ports.values()]
    receivers[0].mode = "503"
    program = twin.logshipper()
    program.wait_ready(twin.admin)
    app = twin.app(APP_LINES="9000")
    assert app.wait(60) == 0
    assert (tmp_path / "logs" / "app.log.2").exists(), "it did rotate"
    program.process.send_signal(signal.SIGTERM)  # as the kubelet does after the app has ended
    wait_until(lambda: len(numbers(receivers[1])) == 9000, "the living sink has every line")
    assert program.process.poll() is None, "it waits for the other one"
    receivers[0].mode = "ok"
    assert program.wait() == 0
    for receiver in receivers:
        assert numbers(receiver) == Counter(range(9000))
    assert numbers_of(twin.store.records()) == Counter(range(9000))


def test_a_logshipper_that_starts_late_says_that_lines_were_rotated_away(
    tmp_path: Path, twins: Twins, receivers: list[Receiver]
) -> None:
    """Plain containers start in any order. Lines that are gone cannot be shipped, and that is reported."""
    twin = twins("job.yaml")
    receivers += [Receiver(port) for port in twin.ports.values()]
    assert twin.app(APP_LINES="12000", APP_RATE="100000").wait(60) == 0
    program = twin.logshipper()
    output = program.wait_logged(
        "the log was rotated before the first look, and an earlier file is not there: "
        "its lines are not shipped; let the app start after logshipper is ready"
    )
    log = tmp_path / "logs" / "app.log"
    assert (output["file"], output["missing"]) == (str(log), f"{log}.3")
    program.wait_ready(twin.admin)
    assert status(twin.admin)["missing_rotated_files"] == {str(log): f"{log}.3"}
    assert metric(twin.admin, "logshipper_missing_rotated_files") == 1
    assert program.stop() == 0
    for receiver in receivers:
        found = numbers(receiver)
        assert found == Counter(range(min(found), 12_000))
        assert min(found) > 0, "the first lines are gone"
    again = twin.logshipper()
    again.wait_ready(twin.admin)
    assert status(twin.admin)["missing_rotated_files"] == {}, "a state that goes on has seen what was there"
    assert again.stop() == 0


def test_in_compose_the_job_ends_by_the_apps_own_file(tmp_path: Path, twins: Twins, receivers: list[Receiver]) -> None:
    services = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
    done = {"LOGSHIPPER_DONE_FILE": services["job-logshipper"]["environment"]["LOGSHIPPER_DONE_FILE"]}
    twin = twins("job.yaml")
    receivers += [Receiver(port) for port in twin.ports.values()]
    receivers[0].mode = "503"
    program = twin.logshipper(**done)
    program.wait_ready(twin.admin)
    app = twin.app(APP_LINES="3000", APP_DONE=services["job-app"]["environment"]["APP_DONE"])
    assert app.wait(60) == 0
    program.wait_logged("the done-file is there: shipping what is left")
    receivers[0].mode = "ok"
    assert program.wait() == 0
    for receiver in receivers:
        assert numbers(receiver) == Counter(range(3000))


def test_the_compose_file_says_the_same_as_the_manifests() -> None:
    compose = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
    key = {"LOGSHIPPER_ARCHIVE_SINK_PASSWORD": SECRET}  # in Kubernetes it is in a Secret
    assert compose["logshipper"]["environment"] == container("pod.yaml", "logshipper") | key
    (secret,) = [one for one in yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text()) if one["kind"] == "Secret"]
    assert secret["stringData"] == {"secret": SECRET}
    # Compose has no native sidecars: a file of the app ends the Job there, and SIGTERM of the kubelet in Kubernetes.
    only_compose, only_kubernetes = {"LOGSHIPPER_DONE_FILE"}, {"LOGSHIPPER_DRAIN_TIMEOUT", "LOGSHIPPER_GIVE_UP_AFTER"}
    here, there = compose["job-logshipper"]["environment"], container("job.yaml", "logshipper") | key
    assert here.keys() - there.keys() == only_compose
    assert there.keys() - here.keys() == only_kubernetes
    assert {name: here[name] for name in here.keys() & there.keys()}.items() <= there.items()
    documents = [*yaml.safe_load_all((EXAMPLE / "pod.yaml").read_text())]
    (view,) = [one for one in documents if one["kind"] == "Deployment" and one["metadata"]["name"] == "view"]
    (program,) = view["spec"]["template"]["spec"]["containers"]
    assert {item["name"]: item["value"] for item in program["env"]} == compose["view"]["environment"]
    app = compose["job-app"]["environment"]
    assert app == container("job.yaml", "app") | {"APP_DONE": app["APP_DONE"]}
