"""The program around its work: the modules that it loads, its log and termination message, and signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from sidecars.warcopier.settings import Settings
from tests.support import wait_until
from tests.warcopier.support import SHOP, SLOWLY, Copier, deployed, leftovers, published, sha256, war


def test_it_loads_neither_an_event_loop_nor_an_http_stack_nor_what_else_it_has_no_use_for(copier: Copier) -> None:
    copier.offer(shop=SHOP)
    script = (
        "import sys; from sidecars.warcopier import app; from sidecars.chassis import commandline;"
        "from sidecars.warcopier.settings import Settings;"
        "unwanted = {'asyncio', 'aiohttp', 'zipfile', 'http', 'ssl', 'uvloop', 'urllib.parse', 'pathlib', 'logging'};"
        "run = lambda settings: (app.run(settings), print(*sorted(unwanted & set(sys.modules))));"
        "sys.exit(commandline.job(Settings, run))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], env=copier.environ({}), capture_output=True, text=True, check=True
    )
    assert ended.stdout == "\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_middle_of_a_copy_it_leaves_nothing(copier: Copier, number: signal.Signals) -> None:
    copier.offer_large()
    running = subprocess.Popen(
        SLOWLY, env=copier.environ({"WARCOPIER_VALIDATE": "none"}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: any(name.endswith(".staging") for name in copier.names()), "a staged file")
        running.send_signal(number)
        _, stderr = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 74
    assert json.loads(stderr.splitlines()[-1])["msg"] == f"stopped by {number.name} before the work was done"
    assert copier.names() == []


@pytest.mark.usefixtures("umask_of_its_own")
def test_what_was_done_is_the_termination_message(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    from sidecars.chassis.runtime import lifecycle, signals  # noqa: PLC0415 - to be patched
    from sidecars.warcopier import app  # noqa: PLC0415 - only in this test

    said: list[str] = []
    monkeypatch.setattr(lifecycle, "write_termination_message", said.append)
    monkeypatch.setattr(signals, "ignore_stop", lambda: None)  # a signal must still stop the tests
    copier.offer(shop=SHOP)
    app.run(Settings(source=(str(copier.source),), target=str(copier.target), reserve=0))
    assert len(said) == 1
    assert said[0].startswith(f"1 published, 0 unchanged ({len(SHOP)} bytes copied in ")
    assert said[0].endswith(f" s): shop.war sha256:{sha256(SHOP)}")


# -- its progress, and its last line ------------------------------------------------------------------------------


FIRST_LINES = ("starting", "confined to the roots of the settings", "not confined to the roots of the settings")


def test_a_copy_that_takes_long_is_told_in_a_line_now_and_then(copier: Copier) -> None:
    copier.offer_large()
    running = subprocess.Popen(
        SLOWLY, env=copier.environ({"WARCOPIER_VALIDATE": "none"}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stderr
        lines = map(json.loads, running.stderr)
        line = next(line for line in lines if line["msg"] not in FIRST_LINES)
    finally:
        running.terminate()
        running.communicate()
    assert line["msg"] == "working"
    assert 0 <= line["percent"] < 100
    assert line["megabytes_per_second"] >= 0


def test_on_a_terminal_it_is_a_bar_that_is_gone_when_the_next_line_comes(copier: Copier) -> None:
    copier.offer_large()
    terminal, ours = pty.openpty()
    running = subprocess.Popen(
        SLOWLY, env=copier.environ({"WARCOPIER_VALIDATE": "none"}), stderr=ours,
    )  # fmt: skip
    os.close(ours)
    seen = b""

    def said(what: bytes) -> bool:
        nonlocal seen
        seen += os.read(terminal, 1 << 16)
        return what in seen

    try:
        wait_until(lambda: said(b"%  "), "a bar")
        running.terminate()
        wait_until(lambda: said(b"stopped by SIGTERM"), "the last line")
    finally:
        running.kill()
        running.wait()
        os.close(terminal)
    assert b"\r\x1b[K[" in seen
    assert seen.split(b"\r\x1b[K")[-1].count(b"stopped by SIGTERM") == 1
    assert b"#" not in seen.split(b"\r\x1b[K")[-1]


def test_what_is_quick_says_nothing_of_its_progress(copier: Copier) -> None:
    copier.offer(shop=war(size=3_000_000))
    told = [line["msg"] for line in published(copier.run()).logs if line["msg"] not in FIRST_LINES]
    assert told == ["published", "1 published, 0 unchanged"]


def test_of_very_many_artifacts_the_last_line_names_some_and_counts_the_rest(copier: Copier) -> None:
    copier.offer(**{f"app{number:03}": war(str(number)) for number in range(50)})
    last = published(copier.run(), "50 published").logs[-1]
    assert last["files"] == 50
    assert last["sha256"].count("sha256:") == 20
    assert last["sha256"].endswith("and 30 more")


# -- these tests themselves ---------------------------------------------------------------------------------------


def test_leftovers_are_told_apart_from_artifacts_in_these_tests(copier: Copier) -> None:
    (copier.target / "x.staging").touch()
    (copier.target / "META-INF").mkdir()
    (copier.target / "META-INF" / "y.staging").mkdir()
    (copier.target / ".dir").mkdir()
    assert leftovers(copier.target) == ["META-INF", "META-INF/y.staging", "x.staging"]
    assert list(deployed(copier.target)) == [".dir"]
