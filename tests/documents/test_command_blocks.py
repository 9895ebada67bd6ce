"""Every command block of the documents is run by a test, or says why it is not.

Blocks of settings are loaded here, make targets and files looked up, cheap commands run. RUN_BY names the tests that
run the others: each types what a reader types.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from sidecars.chassis.config.settings import load
from tests.support import ROOT
from tools.documents.blocks import Block, all_blocks, blocks_of
from tools.names import SIDECARS, image

# The tests that run the blocks of a file, and the first lines of these blocks, without their comments.
RUN_BY_FILE = {
    "README.md": ("tests/images/test_example_tomcat.py", "docker buildx bake"),
    "docs/how-to/verify-an-image.md": (
        "tests/images/test_bill_of_materials.py", f"container=$(docker create {image('adapter')} -)",
    ),
    "examples/ambassador/README.md": (
        "tests/images/test_example_ambassador.py", "docker buildx bake ambassador infra", "cd examples/ambassador",
    ),
    "examples/egress-gateway/README.md": (
        "tests/images/test_example_egress_gateway.py", "docker buildx bake ambassador", "cd examples/egress-gateway",
    ),
    "examples/health-adapter/README.md": (
        "tests/images/test_example_health_adapter.py", "docker buildx bake", "cd examples/health-adapter",
    ),
    "examples/hot-redeploy/README.md": (
        "tests/images/test_example_hot_redeploy.py", "docker buildx bake", "python3 pack.py 2 artifacts/shop.war",
    ),
    "examples/nightly-job/README.md": (
        "tests/images/test_example_nightly_job.py", "docker buildx bake warcopier logshipper",
    ),
    "examples/log-shipping/README.md": (
        "tests/images/test_example_log_shipping.py", "docker buildx bake", "cd examples/log-shipping",
        "docker compose --profile job up --build job-app job-logshipper", "curl -s localhost:8090/sums",
    ),
    "examples/node-agent/README.md": (
        "tests/images/test_example_node_agent.py", "docker buildx bake logshipper", "cd examples/node-agent",
    ),
    "examples/tomcat/README.md": (
        "tests/images/test_example_tomcat.py", "docker buildx bake", "cd examples/tomcat",
    ),
    "examples/tomcat/artifacts/README.md": (
        "tests/images/test_example_tomcat.py", "docker compose -f examples/tomcat/compose.yaml up --build --detach",
    ),
    "infra/README.md": (
        "tests/infra/test_pause.py",
        "cc -nostdlib -static -no-pie -s -Wl,--build-id=none -Wl,-z,noseparate-code -o pause infra/pause.S",
    ),
    "docs/how-to/health-and-metrics.md": (
        "tests/adapter/program/test_examples_page.py", "$ curl 127.0.0.1:8081/health", "$ curl 127.0.0.1:8081/metrics",
    ),
    # The Dockerfile of that example has the same two lines.
    "sidecars/warcopier/README.md": ("tests/images/test_example_tomcat.py", f"FROM {image('warcopier')}"),
}  # fmt: skip
RUN_BY = {(file, line): test for file, (test, *lines) in RUN_BY_FILE.items() for line in lines}

COMMANDS = [block for block in all_blocks() if block.is_command]
SETTINGS = [block for block in COMMANDS if block.has_settings_alone]
MAKE = [block for block in COMMANDS if block.text.startswith("make ")]
PLUGIN = ("docs/reference/adapter/dialects.md", "#!/bin/sh")


def key(block: Block) -> tuple[str, str]:
    file, line = block.key
    return file, line.partition(" #")[0].strip()


def id_of(block: Block) -> str:
    return block.place


def is_run_here(block: Block) -> bool:
    return block in SETTINGS or block in MAKE or key(block) == PLUGIN


def test_every_command_block_is_run_by_a_test_or_says_why_it_is_not() -> None:
    unknown = [one.place for one in COMMANDS if not one.mark and key(one) not in RUN_BY and not is_run_here(one)]
    assert unknown == [], "mark it: <!-- not run: the reason -->, or name its test in RUN_BY"


def test_every_reason_is_a_reason_and_every_test_that_is_named_exists() -> None:
    marks = [(one.place, one.mark, one.what) for one in all_blocks() if one.mark]
    assert [place for place, mark, what in marks if mark == "not run" and len(what.split()) < 3] == []
    named = [(place, re.split(r"[, ]", what)[0]) for place, mark, what in marks if mark == "run by"]
    assert [place for place, test in (*named, *RUN_BY.items()) if not (ROOT / test).exists()] == []


def test_no_block_shows_a_reader_which_test_runs_it() -> None:
    told = re.compile(r"^\s*#\s*(?:not run|run by)\b", re.MULTILINE)
    assert [one.place for one in all_blocks() if told.search(one.text)] == [], "put <!-- run by: … --> before it"


def test_the_table_names_only_blocks_that_exist() -> None:
    assert set(RUN_BY) - {key(block) for block in COMMANDS} == set()


# -- what is run here --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", SETTINGS, ids=id_of)
def test_a_block_of_settings_is_loaded_as_it_stands(block: Block) -> None:
    printed = subprocess.run(
        ["env", "-i", "/bin/sh", "-c", f"set -a\n{block.text}\nexec /usr/bin/env -0"], capture_output=True, check=True
    ).stdout.decode()
    environ = dict(one.split("=", 1) for one in printed.split("\0") if one)
    (name,) = {name for name in SIDECARS if any(variable.startswith(f"{name.upper()}_") for variable in environ)}
    load(import_module(f"sidecars.{name}.settings").Settings, environ, read_file=lambda _: "placeholder")


@pytest.mark.parametrize("block", MAKE, ids=id_of)
def test_every_make_target_exists(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE)) <= targets


def steps(block: Block) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folder and the words of each command line."""
    begins_at_root = "-f examples/" in block.text or "cd examples/" in block.text
    folder = ROOT if begins_at_root else (ROOT / block.file).parent
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["cd"]:
            folder = ROOT / words[1]
        elif words:
            yield folder, words


@pytest.mark.parametrize("block", [one for one in COMMANDS if key(one) in RUN_BY and "docker" in one.text], ids=id_of)
def test_every_file_service_and_bake_target_that_docker_is_given_exists(block: Block) -> None:
    bake = (ROOT / "docker-bake.hcl").read_text()
    for folder, words in steps(block):
        if words[:3] == ["docker", "buildx", "bake"]:
            assert [name for name in words[3:] if f'"{name}"' not in bake] == []
        elif words[:2] == ["docker", "compose"]:
            file = folder / (words[3] if words[2] == "-f" else "compose.yaml")
            services = yaml.safe_load(file.read_text())["services"]
            given = [one for one in words[2:] if re.fullmatch(r"[a-z]+(-[a-z]+)*", one)]
            verbs = {"up", "down", "logs", "stop", "start", "kill", "job"}
            assert set(given) - verbs <= set(services), words


class Health(BaseHTTPRequestHandler):
    line = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.line.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("line", "code"), [("OK - fine", 0), ("WARNING - queue", 1), ("CRITICAL - db", 2), ("", 3)])
def test_the_plugin_for_nagios_exits_as_nagios_expects(line: str, code: int) -> None:
    (script,) = [block.text for block in COMMANDS if key(block) == PLUGIN]
    handler = type("Answer", (Health,), {"line": line})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = script.replace("127.0.0.1:8081", f"127.0.0.1:{server.server_port}")
        done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=False)
        server.shutdown()
    assert done.returncode == code
    assert done.stdout.strip() == line or not line


def test_the_certificates_of_the_example_verify(tmp_path: Path) -> None:
    (block,) = [one for one in COMMANDS if one.text.startswith("openssl")]
    commands = block.text.partition("kubectl")[0]
    subprocess.run(["/bin/sh", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    verify = ["openssl", "verify", "-CAfile", "ca.pem", "-verify_hostname", "payments", "tls.crt"]
    assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0


# -- how blocks are found ----------------------------------------------------------------------------------------------


def test_marks_and_kinds_of_blocks_are_read() -> None:
    text = """
<!-- not run: needs a cluster -->
```sh
kubectl get pods
```

- an item

  <!-- run by: tests/infra/test_pause.py -->
  ```sh
  make x
  ```

```
app ──▶ log
```

```
$ curl localhost
```

```yaml
a: 1
```
"""
    found = blocks_of(text, "a.md")
    assert [(one.line, one.mark, one.what, one.text, one.is_command) for one in found] == [
        (3, "not run", "needs a cluster", "kubectl get pods", True),
        (10, "run by", "tests/infra/test_pause.py", "make x", True),
        (14, "", "", "app ──▶ log", False),
        (18, "", "", "$ curl localhost", True),
        (22, "", "", "a: 1", False),
    ]
