"""The life of real programs, from the start to the exit code, with real signals."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support import Program, wait_until

Demo = Callable[..., Program]
SOON = 120.0  # seconds; far below the hour for which these programs would go on


@pytest.fixture
def demo(start: Start) -> Demo:
    """Start a program of `tests.chassis.programs`, and wait until its work has begun."""

    def begin(do: str, **environ: str) -> Program:
        program = start("tests.chassis.programs", DEMO_DO=do, **environ)
        program.wait_logged("running")
        return program

    return begin


# -- services -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_drains_after_a_signal_and_exits_with_0(demo: Demo, number: signal.Signals) -> None:
    program = demo("wait")

    program.signal(number)

    assert program.wait(SOON) == 0
    draining = program.logged("draining")
    assert draining is not None
    assert draining["signal"] == number.name
    assert program.logs[-1]["msg"] == "drained"


def test_a_service_that_has_no_more_to_do_exits_with_0(demo: Demo) -> None:
    program = demo("end")

    assert program.wait(SOON) == 0
    assert not program.logged("draining")


def test_a_drain_is_cut_at_its_deadline_and_that_is_logged(demo: Demo) -> None:
    program = demo("slow", DEMO_DRAIN_TIMEOUT="100ms")

    assert program.stop(SOON) == 0
    cut = program.logged("the drain was cut short")
    assert cut is not None
    assert cut["by"] == "the drain deadline of 0.1 s"
    assert program.logged("unwound")


def test_a_second_signal_ends_the_drain_at_once(demo: Demo) -> None:
    program = demo("slow", DEMO_DRAIN_TIMEOUT="1h")
    program.signal(signal.SIGTERM)
    program.wait_logged("draining")

    program.signal(signal.SIGTERM)

    assert program.wait(SOON) == 0
    cut = program.logged("the drain was cut short")
    assert cut is not None
    assert cut["by"] == "a second signal"
    assert program.logged("unwound")


@pytest.mark.parametrize("do", ["stubborn", "thread", "deaf"])
def test_nothing_that_a_service_does_outlives_the_deadline_for_long(demo: Demo, do: str) -> None:
    program = demo(do, DEMO_DRAIN_TIMEOUT="100ms")

    assert program.stop(SOON) == 0


def test_many_signals_do_not_spoil_the_exit_code(demo: Demo) -> None:
    program = demo("wait")

    def pester() -> bool:
        program.signal(signal.SIGTERM)
        return program.process.poll() is not None

    wait_until(pester, "the end")
    assert program.wait(SOON) == 0


@pytest.mark.parametrize(("kind", "code"), [("BadData", 65), ("Unavailable", 69), ("IOFailed", 74)])
@pytest.mark.parametrize("do", ["fail", "group"])
def test_a_failure_is_an_exit_code_and_the_last_log_line(demo: Demo, do: str, kind: str, code: int) -> None:
    program = demo(do, DEMO_KIND=kind, DEMO_REASON="DEMO_DO: out of luck")

    assert program.wait(SOON) == code
    assert program.logs[-1]["msg"] == "DEMO_DO: out of luck"
    assert program.logs[-1]["level"] == "error"
    assert program.logs[-1]["exit_code"] == code
    assert "Traceback" not in program.stderr


def test_a_failure_in_the_drain_is_a_failure(demo: Demo) -> None:
    program = demo("fail_draining")

    assert program.stop(SOON) == 74
    assert program.logs[-1]["msg"] == "DEMO_DO: it failed"


@pytest.mark.parametrize("do", ["defect", "mixed"])
def test_a_defect_is_70_with_its_traceback_and_a_last_line_of_its_own(demo: Demo, do: str) -> None:
    program = demo(do)

    assert program.wait(SOON) == 70
    assert "KeyError" in program.logs[-2]["traceback"]
    assert program.logs[-1]["msg"].startswith("a defect: ")
    assert program.logs[-1]["exit_code"] == 70
    assert program.stderr.count("\n") == len(program.logs), "a traceback outside a line of the log"


def test_an_error_that_nobody_awaits_is_told_but_not_died_of(demo: Demo) -> None:
    program = demo("stray")

    wait_until(lambda: "in a callback" in program.stderr, "the traceback")
    assert program.stop(SOON) == 0


# -- jobs ---------------------------------------------------------------------------------------------------------


def test_a_job_ends_with_0_when_its_work_is_done(demo: Demo) -> None:
    program = demo("job")

    assert program.wait(SOON) == 0
    assert program.logged("unwound")


def test_a_job_that_is_told_to_stop_cleans_up_and_has_failed(demo: Demo) -> None:
    program = demo("job_slow")

    assert program.stop(SOON) == 74
    assert program.logged("unwound")
    assert program.logs[-1]["msg"] == "stopped by SIGTERM before the work was done"


def test_a_job_that_fails_says_so(demo: Demo) -> None:
    assert demo("job_fail", DEMO_KIND="BadData").wait(SOON) == 65


def test_a_job_that_is_stopped_while_it_still_reads_its_settings_has_failed(start: Start) -> None:
    """Exit code 0 of an init container would start an app without its WAR."""
    program = start("tests.chassis.programs", DEMO_DO="job", SLOW_SETTINGS="1")
    wait_until(lambda: "reading" in program.stdout, "the program reads its settings")

    assert program.stop(SOON) == 74
    assert program.logs[-1]["msg"] == "stopped by SIGTERM before the work was done"


# -- before the start ---------------------------------------------------------------------------------------------


def test_a_signal_before_the_start_ends_the_program_quietly(start: Start, tmp_path: Path) -> None:
    """The kernel ignores a signal for process 1 that has no handler, so the program sets one first of all."""
    script = (
        "import os, signal, sys\n"
        "from sidecars.chassis.runtime import lifecycle\n"
        "lifecycle.exit_on_stop_signal()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(5)\n"
    )
    program = Program(["-c", script], {}, tmp_path)

    assert program.wait(SOON) == 0
    assert program.stderr == ""


def test_a_signal_before_the_start_raises_nothing_in_what_is_just_being_loaded(tmp_path: Path) -> None:
    """A package in Rust (orjson) crashed with SIGSEGV when a signal raised SystemExit while it was loaded."""
    script = (
        "import os, signal, sys\n"
        "from sidecars.chassis.runtime import lifecycle\n"
        "lifecycle.exit_on_stop_signal()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except BaseException:\n"
        "    os._exit(6)\n"
    )

    assert Program(["-c", script], {}, tmp_path).wait(SOON) == 0


def test_bad_settings_are_78_and_the_program_does_not_begin(start: Start) -> None:
    program = start("tests.chassis.programs", DEMO_DO="nonsense", DEMO_LOG_LEVEL="loud")

    assert program.wait(SOON) == 78
    assert not program.logged("running")
    assert "DEMO_DO=nonsense" in program.logs[-1]["msg"]
    assert "DEMO_LOG_LEVEL=loud" in program.logs[-1]["msg"]


# -- the termination message --------------------------------------------------------------------------------------


def test_the_reason_of_a_failure_is_left_as_the_termination_message(demo: Demo, tmp_path: Path) -> None:
    place = tmp_path / "termination-log"
    place.write_text("left over from before " * 10)

    program = demo("fail", DEMO_REASON="DEMO_DO: out of luck", DEMO_TERMINATION_LOG=str(place))

    assert program.wait(SOON) == 74
    assert place.read_text() == "demo-failed: DEMO_DO: out of luck"
    assert program.logs[-1]["code"] == "demo-failed"


def test_bad_settings_are_left_as_the_termination_message_too(start: Start, tmp_path: Path) -> None:
    place = tmp_path / "termination-log"
    place.touch()

    program = start("tests.chassis.programs", DEMO_NONSENSE="1", DEMO_TERMINATION_LOG=str(place))

    assert program.wait(SOON) == 78
    assert place.read_text().startswith("bad-settings: DEMO_NONSENSE is not a setting")


@pytest.mark.parametrize("do", ["wait", "job_slow"])
def test_the_message_of_an_earlier_run_is_not_that_of_one_that_is_killed(demo: Demo, tmp_path: Path, do: str) -> None:
    place = tmp_path / "termination-log"
    place.touch()
    assert demo("fail", DEMO_TERMINATION_LOG=str(place)).wait(SOON) == 74
    assert place.read_text()

    program = demo(do, DEMO_TERMINATION_LOG=str(place))
    program.signal(signal.SIGKILL)

    program.wait(SOON)
    assert place.read_text() == ""


# -- imports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module",
    [
        "sidecars.chassis.config.settings",
        "sidecars.chassis.config.setting_types",
        "sidecars.chassis.runtime.lifecycle",
        "sidecars.chassis.commandline",
    ],
)
def test_what_a_job_imports_brings_neither_an_event_loop_nor_a_server(module: str, tmp_path: Path) -> None:
    heavy = ("asyncio", "aiohttp", "prometheus_client", "uvloop", "http.server", "ssl", "typing_extensions")
    script = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    program = Program(["-c", script], {}, tmp_path)

    assert program.wait(SOON) == 0
    assert program.stdout.split() == []
