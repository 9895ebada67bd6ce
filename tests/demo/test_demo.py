"""The demo as a newcomer runs it, and with a sidecar that reports false figures."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from demo.events import WAYS
from tests.support import ROOT, get

WITHOUT_LINUX = ROOT / "tests" / "demo" / "without_linux.py"
PERFORM = "import sys; sys.executable = sys.argv[1]; import demo.__main__; sys.exit(demo.__main__.main(['--plain']))"
# A shell that starts a command in the background lets it ignore SIGINT.
AS_ON_A_TERMINAL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
BROKEN = {
    ("replica 2", "killed"),
    ("storage", "down"),
    ("storage", "silent"),
    ("logshipper", "killed"),
    ("app", "hangs"),
    ("monitor", "alarmed"),
    ("newcomer", "refused"),
}


def demo(root: Path, *, python: Path | str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run the demo of a tree. `python` is the interpreter of its sidecars and its app."""
    environ = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", PERFORM, python]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)


def test_the_demo_ends_with_a_ledger_that_holds_and_the_page_in_the_browser_had_the_whole_story() -> None:
    command = [sys.executable, "-m", "demo", "--plain", "--stay"]
    environ = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert found is not None
            assert "<svg" in get(found[0]).text
            events = story(f"{found[0]}events")
            printed = ""
            while "The page stays at" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            late = story(f"{found[0]}events")
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert "WRONG" not in printed
    assert "every line of the ledger holds" in printed
    assert late == events
    assert events[-1]["type"] == "ended"
    assert events[-1]["holds"] is True
    for event in events:
        if event["type"] == "entered":
            assert f"  ok     {event['who']:<10}  {event['what']}: {event['seen']}\n" in printed
        elif event["type"] == "said":
            assert f"  {event['who']:<10}  {event['what']}\n" in printed
    broken = {(event["part"], event["state"]) for event in events if event["type"] == "became"}
    assert broken >= BROKEN
    totals: dict[str, int] = {}
    for event in events:
        totals |= event.get("totals", {})
    assert set(totals) == set(WAYS)
    assert totals["written"] == totals["delivered"] > 0


def story(url: str) -> list[dict[str, Any]]:
    """Return the events of a page, from the first to the last one."""
    with httpx.stream("GET", url, trust_env=False, timeout=300) as response:
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def test_the_demo_fails_when_the_copier_only_claims_to_have_copied(tmp_path: Path) -> None:
    for folder in ("demo", "sidecars"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sidecars" / "warcopier" / "__main__.py").write_text("")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "the ledger does NOT hold" in done.stdout


def test_the_demo_holds_on_a_unix_without_the_calls_that_only_linux_has(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {WITHOUT_LINUX} "$@"\n')
    python.chmod(0o755)
    done = demo(ROOT, python=python)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_in_the_middle_of_the_story_ends_the_demo_without_a_traceback() -> None:
    command = [sys.executable, "-c", f"{AS_ON_A_TERMINAL}; {PERFORM}", sys.executable]
    environ = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        while "published shop.war" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=300)
    assert (process.returncode, complaints) == (130, "\nstopped before the end\n")
