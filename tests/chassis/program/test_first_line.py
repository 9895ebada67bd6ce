"""The first lines of the log: what a process is and will do, for machines and on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecars import chassis
from tests.conftest import Start
from tests.terminals import lines_on_a_terminal

DEMO = "tests.chassis.programs"
LISTEN = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "off"}
SUMMARIES: list[tuple[str, dict[str, str], str]] = [
    (
        "adapter",
        {
            "TARGET": "http://127.0.0.1:9/",
            "ROUTES": "/health=/metrics?token=abc,/raw=/m",
            "MODE": "verdict,/raw=forward",
        },
        "answers on 127.0.0.1:0: /health with the verdict on {app}/metrics?***, /raw with the response of {app}/m",
    ),
    (
        "ambassador",
        {"UPSTREAM": "http://127.0.0.1:9,http://127.0.0.2:9;weight=2", "TOKEN": "abcdefghijklmnop"},
        "127.0.0.1:0 -> http://127.0.0.1:9,http://127.0.0.2:9;weight=2",
    ),
    (
        "logshipper",
        {"PATHS": "/nowhere/*.log", "SINK": "loki+http://127.0.0.1:9/secret/push", "STATE_DIR": "{folder}"},
        "ships /nowhere/*.log to loki http://127.0.0.1:9",
    ),
    (
        "warcopier",
        {"SOURCE": "/nowhere", "TARGET": "/nowhere/else"},
        "publishes the WARs of /nowhere in /nowhere/else, and then ends",
    ),
]


def environ(name: str, values: dict[str, str], folder: Path, **more: str) -> dict[str, str]:
    both = {**(LISTEN if name in ("adapter", "ambassador") else {"ADMIN_LISTEN": "off"}), **values, **more}
    return {f"{name.upper()}_{suffix}": value.format(folder=folder) for suffix, value in both.items()}


@pytest.mark.parametrize(("name", "values", "summary"), SUMMARIES, ids=[name for name, *_ in SUMMARIES])
def test_the_first_line_tells_machines_name_version_and_in_words_what_it_will_do(
    start: Start, tmp_path: Path, name: str, values: dict[str, str], summary: str
) -> None:
    program = start(name, **environ(name, values, tmp_path))

    line = program.wait_logged("starting")

    assert line == program.logs[0]
    summary = summary.format(app="http://127.0.0.1:9")
    assert {**line, "time": ""} == {
        "time": "",
        "level": "info",
        "msg": "starting",
        "logger": name,
        "name": name,
        "version": chassis.__version__,
        "summary": summary,
    }


@pytest.mark.parametrize(("name", "values", "summary"), SUMMARIES, ids=[name for name, *_ in SUMMARIES])
def test_for_eyes_the_first_line_is_one_short_sentence(
    tmp_path: Path, name: str, values: dict[str, str], summary: str
) -> None:
    summary = summary.format(app="http://127.0.0.1:9")
    shown = lines_on_a_terminal(f"sidecars.{name}", {"NO_COLOR": "1", **environ(name, values, tmp_path)}, first=True)

    assert shown[0].split(maxsplit=3)[1:] == ["info", name, f"{name} {chassis.__version__}: {summary}"]


def test_the_settings_are_logged_at_the_level_debug_alone_with_no_secret(start: Start) -> None:
    quiet = start(DEMO, DEMO_DO="end", DEMO_PASSWORD="hunter2")
    loud = start(DEMO, DEMO_DO="end", DEMO_PASSWORD="hunter2", DEMO_LOG_LEVEL="debug")

    assert (quiet.wait(), loud.wait()) == (0, 0)
    assert "DEMO_DO" not in quiet.stderr
    settings = loud.logs[1]
    assert (settings["level"], settings["msg"]) == ("debug", "settings")
    assert (settings["DEMO_DO"], settings["DEMO_PASSWORD"]) == ("end", "***")


def test_for_eyes_each_setting_has_a_line_of_its_own() -> None:
    lines = lines_on_a_terminal(DEMO, {"NO_COLOR": "1", "DEMO_DO": "end", "DEMO_LOG_LEVEL": "debug"})

    settings = [line.split()[-1] for line in lines if " debug " in line and " settings " in line]
    assert {"DEMO_DO=end", "DEMO_LOG_LEVEL=debug"} <= set(settings)


def test_a_summary_of_very_many_parts_is_cut(start: Start) -> None:
    targets = ",".join(f"http://127.0.0.1:{number}" for number in range(1, 100))
    program = start(
        "ambassador", AMBASSADOR_UPSTREAM=targets, AMBASSADOR_LISTEN="127.0.0.1:0", AMBASSADOR_ADMIN_LISTEN="off"
    )

    summary = program.wait_logged("starting")["summary"]

    assert len(summary) == 200
    assert summary.endswith("…")


def test_the_log_can_be_text_and_quieter(start: Start) -> None:
    program = start(DEMO, DEMO_DO="fail", DEMO_LOG_FORMAT="text", DEMO_LOG_LEVEL="error")

    assert program.wait() == 74
    [line] = program.stderr.splitlines()
    assert " ".join(line.split()[1:]) == "error lifecycle DEMO_DO: it failed code=demo-failed exit_code=74"


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_gets_colours_unless_it_does_not_want_them(more: dict[str, str], *, coloured: bool) -> None:
    lines = lines_on_a_terminal(DEMO, {"DEMO_DO": "fail", **more})

    assert lines[-1].endswith("74")
    assert ("\x1b[1;31merror" in lines[-1]) is coloured
    assert any("\x1b" in line for line in lines) is coloured


def test_text_that_is_asked_for_where_there_is_no_terminal_has_no_colours(start: Start) -> None:
    program = start(DEMO, DEMO_DO="fail", DEMO_LOG_FORMAT="text")

    assert program.wait() == 74
    assert "\x1b" not in program.stderr
