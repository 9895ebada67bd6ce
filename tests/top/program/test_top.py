"""The command with real sidecars, on a terminal and in a pipe."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from sidecars import chassis
from sidecars.chassis.runtime import lifecycle
from sidecars.top import command
from tests.conftest import Start
from tests.support import PATIENCE, ROOT, Program, free_port, get
from tests.terminals import Terminal, terminal

COMMAND = "sidecars.top.command"
HOSTILE = "\x1b[2J\x1b]0;owned\x07<script>\u202e" + "x" * 10_000


def top(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", COMMAND, *arguments],
        env={"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def ambassador(begin: Callable[..., Program], admin: int, listen: int) -> Program:
    """Start an ambassador whose only endpoint is its own admin port."""
    program = begin(
        "ambassador",
        AMBASSADOR_UPSTREAM=f"http://127.0.0.1:{admin}",
        AMBASSADOR_LISTEN=f"127.0.0.1:{listen}",
        AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        AMBASSADOR_ADMIN_SIBLINGS=f"adapter={free_port()}",
    )
    program.wait_ready(admin)
    return program


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one ambassador, which has served a request, for all tests that only look."""
    admin, listen = free_port(), free_port()
    folder = tmp_path_factory.mktemp("running")
    program = ambassador(lambda _, **environ: Program(["-m", "sidecars.ambassador"], environ, folder), admin, listen)
    try:
        assert get(f"http://127.0.0.1:{listen}/livez").status_code == 200
        yield f"http://127.0.0.1:{admin}/"
    finally:
        program.kill()


def on_terminal(url: str) -> contextlib.AbstractContextManager[Terminal]:
    return terminal([COMMAND, "--url", url], {"LANG": "C.UTF-8"})


def test_in_a_pipe_it_prints_one_moment_as_plain_text(running: str) -> None:
    done = top("--url", running)

    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert [line for line in done.stdout.splitlines() if line.endswith(" ")] == []
    assert "✓ ready for " in done.stdout
    assert "\nEndpoints\n" in done.stdout
    assert "\n• adapter :" in done.stdout


def test_on_a_terminal_it_is_live_survives_a_restart_and_ends_with_q(start: Start) -> None:
    admin, listen = free_port(), free_port()
    program = ambassador(start, admin, listen)
    with on_terminal(f"http://127.0.0.1:{admin}") as shown:
        shown.wait_for("ready for ")
        shown.wait_for("Endpoints")
        assert "\x1b[32m" in shown.text()  # ready is green

        program.kill()
        shown.wait_for("no answer since ")

        before = len(shown.shown)
        ambassador(start, admin, listen)
        shown.wait_for("ready for ", after=before)

        shown.press("jjk\x1b[B\x1b[6~?")
        shown.press("q")
        assert shown.wait() == 0
        assert shown.text().endswith("\x1b[?1049l")  # the terminal is as it was


def test_a_new_size_is_drawn_at_once(running: str) -> None:
    with on_terminal(running) as shown:
        shown.wait_for("Endpoints")
        before = len(shown.shown)
        shown.resize(80, 6)
        shown.wait_for("more lines below", after=before)
        shown.press("\x03")  # Ctrl-C
        assert shown.wait() == 0


# -- what it is given -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--url", url] for url in ("127.0.0.1:9912", "file:///etc/passwd", "http://127.0.0.1:65536", "http://[::1")),
        *(["--url", url] for url in ("http://127.0.0.1/\x1b[2J", "http://\u0301x/")),
        *(["--url"], ["--twice"], ["x"]),
    ],
)
def test_a_wrong_argument_is_64_and_a_sentence(arguments: list[str]) -> None:
    done = top(*arguments)

    assert done.returncode == 64
    assert done.stderr.startswith("sidecars-top: ")
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("columns", ["0", "1", "99999999999", "²", "-5", "x"])
def test_whatever_columns_says_it_prints(columns: str, monkeypatch: pytest.MonkeyPatch, running: str) -> None:
    with monkeypatch.context() as patched:  # pytest reads it, too, when it reports
        patched.setenv("COLUMNS", columns)
        assert command.run(["--once", "--url", running]) == 0


def test_a_terminal_without_a_cursor_gets_one_moment(running: str) -> None:
    with terminal([COMMAND, "--url", running], {"LANG": "C.UTF-8", "TERM": "dumb"}) as shown:
        assert shown.wait() == 0

        assert "✓ ready for " in shown.text()
        assert "\x1b" not in shown.text()


def test_a_terminal_that_is_gone_ends_it_without_a_traceback(running: str) -> None:
    """As with nohup: no signal says that the terminal is gone."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", COMMAND, "--url", running],
        env={"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "TERM": "xterm"},
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)
        _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode in (0, 74)
    assert b"Traceback" not in errors


def test_nobody_who_answers_is_69_and_says_why() -> None:
    done = top("--once", "--url", f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 69
    assert "✗ no answer: " in done.stdout


def test_without_an_address_it_asks_the_default_ports_and_shows_who_answers(
    running: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "PORTS", {"ambassador": int(running.split(":")[2].strip("/")), "adapter": free_port()})
    assert command.run([]) == 0
    shown = capsys.readouterr().out
    assert f"ambassador {chassis.__version__}  {running}" in shown
    assert "no answer" not in shown

    monkeypatch.setattr(command, "PORTS", {"adapter": free_port()})
    with pytest.raises(lifecycle.Unavailable, match=r"^no sidecar answers on the ports \d+ of 127.0.0.1: give"):
        command.run([])


def test_one_who_does_not_answer_hides_no_other(running: str) -> None:
    done = top("--once", "--url", f"http://127.0.0.1:{free_port()}", "--url", running)

    assert done.returncode == 69
    assert "✗ no answer: " in done.stdout
    assert "✓ ready for " in done.stdout


def test_it_needs_no_package_of_a_sidecar() -> None:
    """It must run where only the extra `top` is installed."""
    blocked = ["uvloop", "prometheus_client", "pycares", "re2", "orjson", "msgspec", "watchfiles"]
    script = f"import sys\nfor name in {blocked}: sys.modules[name] = None\nfrom sidecars.top.command import run\n"
    script += "import sidecars.top.screen\nsys.exit(run(['--once', '--url', 'http://127.0.0.1:1']))"

    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (69, "")


def test_without_its_own_packages_it_names_the_extra() -> None:
    script = "import sys\nsys.modules['rich'] = None\nfrom sidecars.top import command\nsys.argv[1:] = []\n"
    script += "sys.exit(command.main())"

    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 69
    assert "the package rich is not installed: pip install '" in done.stderr
    assert "[top]'" in done.stderr


# -- a hostile one ----------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile() -> Iterator[str]:
    """Serve a page on which every text is hostile."""
    picture = [{"title": "Files", "rows": "files.*", "columns": ["File|key:0"]}]
    status = {"name": HOSTILE, "state": HOSTILE, "reasons": [HOSTILE], "trouble": [], "files": {HOSTILE: {}}}
    page = json.dumps({"picture": picture, "status": status, "siblings": True}).replace("<", "\\u003c")
    siblings = {"siblings": [{"name": HOSTILE, "port": HOSTILE, "state": HOSTILE, "reasons": [HOSTILE]}]}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages = {
                "/": f"<script type=application/json id=data>{page}</script>",
                "/siblings": json.dumps(siblings),
                "/status?compact": json.dumps(status),
            }
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_hostile_names_are_text_in_a_pipe_and_on_a_terminal(hostile: str) -> None:
    done = top("--url", hostile)
    with on_terminal(hostile) as shown:
        shown.wait_for("u001b[2J")
        shown.press("q")
        assert shown.wait() == 0
        on_the_terminal = shown.text()

    assert done.returncode == 0
    assert done.stdout.replace("\n", "").isprintable()
    assert "\\u001b[2J" in done.stdout
    for sequence in ("\x1b[2J", "\x1b]0;owned", "\x07", "\u202e"):
        assert sequence not in on_the_terminal
