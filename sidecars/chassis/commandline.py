"""`python -m sidecars.X`: run, or `--check`, `--help`, `--version`. The same for every sidecar.

`job`, `service` and `job_or_service` are what a sidecar's `__main__.py` calls. They return the exit code; one that has
run ends the process with it there and then. The program's own imports belong inside the function that it passes, so
that bad settings are told before anything heavy is loaded.
"""

from __future__ import annotations

import os
import sys

from sidecars import chassis
from sidecars.chassis.config.settings import SettingsError, effective, load, specs
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any, TypeVar

    from sidecars.chassis.config.settings import ServiceSettings, Settings, Spec

    R = TypeVar("R")
    S = TypeVar("S", bound=Settings)
    V = TypeVar("V", bound=ServiceSettings)

EX_USAGE = 64
_WIDTH = 79  # columns of --help


def job(cls: type[S], run: Callable[[S], None]) -> int:
    """A program that does its work and ends."""
    lifecycle.ensure_standard_streams()
    if sys.argv[1:]:
        return _command(cls)
    logs.configure()

    def work() -> None:
        lifecycle.run_job(lambda: run(_begin(cls, os.environ)))

    return lifecycle.exit_now(lifecycle.exit_code_of(lambda: _with_packages(cls, work)))


def service(cls: type[V], run: Callable[[V, lifecycle.ServiceContext], Coroutine[Any, Any, None]]) -> int:
    """A program that keeps running until it is told to stop."""
    lifecycle.ensure_standard_streams()
    if sys.argv[1:]:
        return _command(cls)
    lifecycle.exit_on_stop_signal()
    logs.configure(libraries=True)

    def serve() -> None:
        settings = _begin(cls, os.environ, libraries=True)
        import uvloop  # noqa: PLC0415 - a job does not have it

        lifecycle.run_service(lambda context: run(settings, context), settings.drain_timeout, uvloop.new_event_loop)

    return lifecycle.exit_now(lifecycle.exit_code_of(lambda: _with_packages(cls, serve)))


def job_or_service(
    cls: type[V],
    work: Callable[[V], None],
    serve: Callable[[V, lifecycle.ServiceContext], Coroutine[Any, Any, None]],
    stays: Callable[[V], bool],
) -> int:
    """A program that does its work and ends, or that `stays`, as its settings say: until it is told to stop."""
    lifecycle.ensure_standard_streams()
    if sys.argv[1:]:
        return _command(cls)
    logs.configure()

    def run() -> None:
        settings = _begin(cls, os.environ)
        if stays(settings):
            lifecycle.exit_on_stop_signal()
            logs.configure(settings.log_level, settings.log_format, libraries=True)
            lifecycle.run_service(lambda context: serve(settings, context), settings.drain_timeout)
        else:
            work(settings)

    return lifecycle.exit_now(lifecycle.exit_code_of(lambda: _with_packages(cls, lambda: lifecycle.run_job(run))))


def _with_packages(cls: type[Settings], work: Callable[[], R]) -> R:
    """Return the result of the work. Raises Unavailable if a package that the sidecar's extra installs is missing."""
    try:
        return work()
    except ModuleNotFoundError as error:
        package = (error.name or "sidecars").partition(".")[0]
        if package == "sidecars" or package in sys.stdlib_module_names:
            raise
        extra = f"sidecars[{cls.PREFIX.lower()}]"
        raise lifecycle.Unavailable(f"the package {package} is not installed: pip install '{extra}'") from None


def _begin(cls: type[S], environ: Mapping[str, str], *, libraries: bool = False) -> S:
    """The settings, told in the log's first line. `libraries`: those that run here log, too."""
    try:
        settings = load(cls, environ)
    except SettingsError as error:
        form = environ.get(f"{cls.PREFIX}_LOG_FORMAT")
        logs.configure(form=form if form in logs.FORMATS else "auto")
        raise lifecycle.BadSettings(str(error)) from None
    logs.configure(settings.log_level, settings.log_format, libraries=libraries)
    name = cls.PREFIX.lower()
    shown = {variable: value for variable, value in effective(settings).items() if value}
    logs.get(name).info("starting", name=name, version=chassis.__version__, **shown)
    return settings


def _command(cls: type[Settings]) -> int:
    from sidecars.chassis.runtime import streams  # noqa: PLC0415 - a job must not pay for it

    return streams.run_command(lambda: _answer(cls, sys.argv[1:], os.environ))


def _answer(cls: type[Settings], argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """What is asked on the command line, on stdout; the settings themselves are never taken from there."""
    name = cls.PREFIX.lower()
    match argv:
        case ["--version"]:
            print(f"{name} {chassis.__version__}")
        case ["--help" | "-h"]:
            print(help_text(cls))
        case ["--check"]:
            try:
                settings = _with_packages(cls, lambda: load(cls, environ))
            except SettingsError as error:
                print(error, file=sys.stderr)
                return lifecycle.BadSettings.exit_code
            except lifecycle.Unavailable as error:
                print(error.reason, file=sys.stderr)
                return error.exit_code
            for variable, value in effective(settings).items():
                print(f"{variable}={value}")
        case _:
            print(f"{name}: no such argument: {' '.join(argv)}; settings are environment variables", file=sys.stderr)
            print(f"usage: {_program(name)} [--check | --help | --version]", file=sys.stderr)
            return EX_USAGE
    return 0


# -- the tables ---------------------------------------------------------------------------------------------------


def help_text(cls: type[Settings]) -> str:
    """The variables, for a terminal of any width: each with its default and kind, and under it what it means."""
    from textwrap import TextWrapper  # noqa: PLC0415 - only for --help

    def wrapped(text: str, first: str = "", further: str = "") -> str:
        """No word is broken, at a hyphen neither: `if-changed` is a value to be copied."""
        return TextWrapper(
            _WIDTH,
            initial_indent=first,
            subsequent_indent=further,
            replace_whitespace=False,
            break_on_hyphens=False,
            break_long_words=False,
        ).fill(text)

    name = cls.PREFIX.lower()
    about = (
        "Without an argument it runs. It is configured by environment variables alone; any of them may be given by a"
        " file instead, with _FILE added to its name."
    )
    lines = [
        f"usage: {_program(name)} [--check | --help | --version]",
        "",
        wrapped(f"{about} {naming_note(cls)}"),
    ]
    width = max(len(spec.variable) for spec in specs(cls))
    for spec in specs(cls):
        value = f"{format_default(spec)}  ({spec.type.name})"
        first, further = f"  {spec.variable:<{width}}  ", " " * (width + 4)
        lines += ["", wrapped(value, first, further), wrapped(spec.help.replace("`", ""), "      ", "      ")]
    return "\n".join(lines)


def _program(name: str) -> str:
    """Return the command as the user typed it: an installed one by its name, else as a module."""
    typed = sys.argv[0].rpartition("/")[2]
    return typed if typed == f"sidecars-{name}" else f"python -m sidecars.{name}"


def format_default(spec: Spec) -> str:
    if spec.default is None:
        return "required"
    return spec.default or "-"


def naming_note(cls: type[Settings]) -> str:
    """How the settings of which there can be several are named; "" where there are none."""
    grouped = [spec for spec in specs(cls) if spec.group]
    if not grouped:
        return ""
    example = grouped[0].named(cls.PREFIX, "orders")
    return (
        f"Several of a kind are told apart by a name after the prefix, such as {example}; without a name a setting is"
        " that of the only one, or the default for all."
    )
