"""The arguments of the command line, and where the output goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidecars import chassis
from sidecars.chassis.config.help_text import format_default
from sidecars.chassis.config.settings import specs
from sidecars.chassis.settings_tables import sidecars
from tests.chassis.programs import Settings
from tests.conftest import Start
from tests.support import ROOT

DEMO = "tests.chassis.programs"
REQUIRED = {
    "ambassador": {"AMBASSADOR_UPSTREAM": "http://orders:80"},
    "logshipper": {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": "stdout:"},
}
NAMES = [readme.parent.name for readme, _ in sidecars()]


def env_file(text: str) -> dict[str, str]:
    """Return the variables of a file for `docker run --env-file`, one a line, without its comments."""
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def test_version_is_the_programs_name_and_version(start: Start) -> None:
    program = start(DEMO, "--version")

    assert program.wait() == 0
    assert program.stdout == f"demo {chassis.__version__}\n"


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_lists_every_variable_with_default_and_meaning(start: Start, argument: str) -> None:
    program = start(DEMO, argument)

    assert program.wait() == 0
    for spec in specs(Settings):
        shown = f"{spec.variable} {format_default(spec)} ({spec.type.name}) {spec.help}".replace("`", "")
        assert shown in " ".join(program.stdout.split())
    assert all(line == line.rstrip() for line in program.stdout.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_what_help_explains_fits_an_80_column_terminal(start: Start, name: str) -> None:
    program = start(name, "--help")

    assert program.wait() == 0
    assert [line for line in program.stdout.splitlines() if len(line) >= 80] == []


@pytest.mark.parametrize(
    "arguments", [["--help", "stay free"], ["--help=STAY FREE"], ["-h", "stay free"]], ids=" ".join
)
def test_help_with_a_word_prints_the_settings_that_have_it(start: Start, arguments: list[str]) -> None:
    program = start("warcopier", *arguments)

    assert program.wait() == 0
    shown = [line.split()[0] for line in program.stdout.splitlines() if line.startswith("  WARCOPIER_")]
    assert shown == ["WARCOPIER_RESERVE"]
    assert program.stdout.startswith("Files on the target\n\n  WARCOPIER_RESERVE  16MiB  (size)\n      bytes that must")


def test_help_with_a_word_that_no_setting_has_says_so_and_exits_with_64(start: Start) -> None:
    program = start(DEMO, "--help=xyzzy")

    assert program.wait() == 64
    assert program.stdout == ""
    assert program.stderr == "demo: no setting has xyzzy in its name or meaning; --help lists all\n"


def test_bad_settings_are_told_in_the_format_that_is_asked_for(start: Start) -> None:
    program = start(DEMO, DEMO_DO="nonsense", DEMO_LOG_FORMAT="text")

    assert program.wait() == 78
    assert "error" in program.stderr
    assert "DEMO_DO=nonsense" in program.stderr
    assert not program.stderr.startswith("{")


def test_help_needs_no_valid_settings(start: Start) -> None:
    assert start(DEMO, "--help", DEMO_DO="nonsense").wait() == 0


def test_check_all_prints_the_effective_settings_and_does_not_begin(start: Start) -> None:
    program = start(DEMO, "--check=all", DEMO_REASON="none", DEMO_DRAIN_TIMEOUT="1500ms")

    assert program.wait() == 0
    assert env_file(program.stdout) == {
        "DEMO_DO": "wait",
        "DEMO_KIND": "IOFailed",
        "DEMO_REASON": "none",
        "DEMO_PASSWORD": "",
        "DEMO_TERMINATION_LOG": "/nowhere",
        "DEMO_LOG_LEVEL": "info",
        "DEMO_LOG_FORMAT": "auto",
        **dict.fromkeys(("POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP", "NODE_NAME"), ""),
        "DEMO_CONFINEMENT": "best-effort",
        "DEMO_ADMIN_LISTEN": "off",
        "DEMO_ADMIN_STATUS": "loopback",
        "DEMO_ADMIN_SIBLINGS": "",
        "DEMO_DRAIN_TIMEOUT": "1.5s",
    }
    assert program.stderr == ""


def test_check_prints_the_settings_that_are_set_and_how_many_are_not(start: Start) -> None:
    program = start(DEMO, "--check", DEMO_REASON="none", DEMO_DRAIN_TIMEOUT="25s", DEMO_LOG_LEVEL="")

    assert program.wait() == 0
    assert program.stdout.splitlines() == [
        "DEMO_REASON=none",
        "DEMO_DRAIN_TIMEOUT=25s",
        "# all others (15) have their defaults: --check=all prints them",
    ]
    assert program.stderr == ""


def test_check_says_which_variable_or_file_has_set_what_is_in_force(start: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    (tmp_path / "headers").write_text("X-Team: shop\n")
    program = start(
        *("ambassador", "--check"),
        AMBASSADOR_A_UPSTREAM="https://a",
        AMBASSADOR_B_UPSTREAM="http://b:81",
        AMBASSADOR_B_LISTEN="127.0.0.1:8501",
        AMBASSADOR_C_UPSTREAM="tcp://c:1",
        AMBASSADOR_C_LISTEN="127.0.0.1:8502",
        AMBASSADOR_TIMEOUT="5s",
        AMBASSADOR_B_TIMEOUT="15s",
        AMBASSADOR_PROTOCOL="http2",
        AMBASSADOR_A_TOKEN_FILE=f"{tmp_path}/token",
        AMBASSADOR_HEADERS_FILE=f"{tmp_path}/headers",
        AMBASSADOR_ADMIN_LISTEN=":9913",
        AMBASSADOR_A_MAX_CONNECTIONS="10",
    )
    assert program.wait() == 0, program.stderr
    *shown, last = program.stdout.splitlines()
    assert shown == [
        "# 127.0.0.1:8500 -> https://a:443, 127.0.0.1:8501 -> http://b:81, 127.0.0.1:8502 -> tcp://c:1",
        "AMBASSADOR_B_LISTEN=127.0.0.1:8501",
        "AMBASSADOR_C_LISTEN=127.0.0.1:8502",
        "AMBASSADOR_A_UPSTREAM=https://a:443",
        "AMBASSADOR_B_UPSTREAM=http://b:81",
        "AMBASSADOR_C_UPSTREAM=tcp://c:1",
        "AMBASSADOR_A_PROTOCOL=http2",
        "# AMBASSADOR_PROTOCOL, the default of all, is in force for a; not for b, c",
        "AMBASSADOR_A_TIMEOUT=5s",
        "AMBASSADOR_B_TIMEOUT=15s",
        "AMBASSADOR_C_TIMEOUT=5s",
        "# AMBASSADOR_TIMEOUT, the default of all, is in force for a, c",
        "AMBASSADOR_A_MAX_CONNECTIONS=10",
        "AMBASSADOR_A_HEADERS=X-Team: ***",
        "AMBASSADOR_B_HEADERS=X-Team: ***",
        f"# AMBASSADOR_HEADERS_FILE={tmp_path}/headers, the default of all, is in force for a, b; not for c",
        "AMBASSADOR_A_TOKEN=***",
        f"# AMBASSADOR_A_TOKEN is read from AMBASSADOR_A_TOKEN_FILE={tmp_path}/token",
        "AMBASSADOR_ADMIN_LISTEN=:9913",
    ]
    assert last.startswith("# all others (")
    assert "hunter2" not in program.stdout + program.stderr


@pytest.mark.parametrize("argument", ["--check", "--check=all"])
def test_what_check_prints_is_itself_an_env_file_of_the_same_meaning(start: Start, argument: str) -> None:
    first = start(DEMO, argument, DEMO_REASON="a = b, c", DEMO_DRAIN_TIMEOUT="90s", DEMO_ADMIN_LISTEN="[::1]:80")
    assert first.wait() == 0

    second = start(DEMO, argument, **env_file(first.stdout))

    assert second.wait() == 0
    assert second.stdout == first.stdout


@pytest.mark.parametrize("argument", ["--check", "--check=all"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_sidecars_check_prints_is_an_env_file_of_the_same_meaning(
    start: Start, name: str, argument: str
) -> None:
    first = start(name, argument, **REQUIRED.get(name, {}))
    assert first.wait() == 0, first.stderr

    second = start(name, argument, **env_file(first.stdout))

    assert second.wait() == 0, second.stderr
    assert second.stdout == first.stdout


def test_check_tells_all_mistakes_on_stderr_and_exits_with_78(start: Start) -> None:
    program = start(DEMO, "--check", DEMO_DO="nonsense", DEMO_DRAIN_TIMEOUT="5")

    assert program.wait() == 78
    assert program.stdout == ""
    assert "DEMO_DO=nonsense: expected one of" in program.stderr
    assert "DEMO_DRAIN_TIMEOUT=5: expected a duration" in program.stderr


@pytest.mark.parametrize(
    "arguments", [["--chekc"], ["run"], ["--check", "--help"], ["--help", "--check"], ["--help="], ["--check=1"]]
)
def test_anything_else_on_the_command_line_is_refused(start: Start, arguments: list[str]) -> None:
    program = start(DEMO, *arguments)

    assert program.wait() == 64
    assert "no such argument: " + " ".join(arguments) in program.stderr
    assert "usage: " in program.stderr


def test_a_secret_is_shown_nowhere(start: Start) -> None:
    for arguments in (["--check"], ["--check=all"], ["--help"], []):
        program = start(DEMO, *arguments, DEMO_PASSWORD="hunter2", DEMO_DO="end")
        assert program.wait() == 0
        assert "hunter2" not in program.stdout + program.stderr
    mistaken = start(DEMO, DEMO_PASSWORD="hunter2", DEMO_PASSWORD_FILE="/x", DEMO_DO="x")
    assert mistaken.wait() == 78
    assert "hunter2" not in mistaken.stderr


def test_a_setting_with_a_risk_is_warned_of_by_check_and_at_the_start(start: Start) -> None:
    environ = {"ADAPTER_TARGET": "http://app.invalid", "ADAPTER_TARGET_TOKEN": "abc", "ADAPTER_LISTEN": "127.0.0.1:0"}
    warning = "ADAPTER_TARGET_TOKEN is sent to ADAPTER_TARGET=http://app.invalid without encryption: use https://"
    check = start("adapter", "--check", **environ)
    assert check.wait() == 0
    assert check.stderr.startswith(f"warning: {warning}\nmemory: at most ")

    program = start("adapter", **environ, ADAPTER_ADMIN_LISTEN="off")
    assert program.wait_logged(warning)["level"] == "warning"


def test_a_value_that_is_no_text_is_told_like_any_other_mistake(start: Start) -> None:
    program = start(DEMO, "--check", DEMO_DO="\udcff")

    assert program.wait() == 78
    assert "DEMO_DO=" in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX", "en_US.ISO-8859-1"])
def test_a_value_that_is_no_text_can_be_shown(start: Start, locale: str) -> None:
    program = start(DEMO, "--check", DEMO_REASON="caf\u00e9 \udcff", LC_ALL=locale)

    assert program.wait() == 0, program.stderr
    assert "DEMO_REASON=caf" in program.stdout


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_not_take_the_program_down(tmp_path: Path, closed: str) -> None:
    command = f"exec {sys.executable} -m {DEMO} {closed}"
    codes = [
        subprocess.run(["sh", "-c", command], env={"PYTHONPATH": str(ROOT), **environ}, cwd=tmp_path, check=False)
        for environ in ({"DEMO_DO": "end"}, {"DEMO_DO": "nonsense"}, {"DEMO_DO": "job"})
    ]

    assert [ended.returncode for ended in codes] == [0, 78, 0]


# -- where the output goes --------------------------------------------------------------------------------------------

COMMANDS = [
    *([f"sidecars.{name}", argument] for name in NAMES for argument in ("--help", "--version", "--check=all")),
    ["sidecars.adapter", "--chekc"],
    ["sidecars.chassis.settings_tables"],
    ["sidecars.chassis.probe", "http://127.0.0.1:1/livez"],
    ["demo", "--nonsense"],
]


def run(command: list[str], **streams: object) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **REQUIRED["ambassador"], **REQUIRED["logshipper"]}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    environ |= {"ADAPTER_TARGET": "http://app"}
    return subprocess.run([sys.executable, "-m", *command], env=environ, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return] # the streams are any


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone_changes_nothing_but_what_is_read(command: list[str]) -> None:
    read = run(command)
    ours, theirs = os.pipe()
    os.close(ours)
    unread = run(command, stdout=theirs)
    deaf = run(command, stderr=theirs)
    os.close(theirs)

    assert (unread.returncode, unread.stderr) == (read.returncode, read.stderr)
    assert (deaf.returncode, deaf.stdout) == (read.returncode, read.stdout)
    assert "Traceback" not in read.stderr


@pytest.mark.parametrize(
    "command", [["sidecars.ambassador", "--help"], ["sidecars.chassis.settings_tables"]], ids=" ".join
)
def test_output_to_a_full_disk_is_74_and_a_sentence(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(command, stdout=full)

    assert (done.returncode, done.stderr) == (74, "standard output cannot be written: No space left on device\n")


def test_a_terminal_with_another_character_set_is_no_defect() -> None:
    command = [sys.executable, "-m", "sidecars.warcopier"]
    environ = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    source = {"WARCOPIER_SOURCE": "/caf\u00e9", "POD_NAME": "\udcff"}

    shown = subprocess.run([*command, "--help"], env=environ, capture_output=True, check=True)
    checked = subprocess.run([*command, "--check"], env=environ | source, capture_output=True, check=True)

    assert shown.stdout.isascii()
    assert b"WARCOPIER_SOURCE=/caf\\" in checked.stdout
    assert b"POD_NAME=\\udcff" in checked.stdout


@pytest.mark.parametrize("name", NAMES)
def test_help_breaks_no_word_at_a_hyphen(start: Start, name: str) -> None:
    program = start(name, "--help")

    assert program.wait() == 0
    shown = " ".join(program.stdout.split())
    cls = next(cls for readme, cls in sidecars() if readme.parent.name == name)
    for spec in specs(cls):
        assert " ".join(spec.help.replace("`", "").split()) in shown
