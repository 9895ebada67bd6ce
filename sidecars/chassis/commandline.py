"""`python -m sidecars.X`: run, or `--check`, `--help`, `--version`. The same for every sidecar.

A sidecar's `__main__.py` calls `job`, `service` or `job_or_service`. They return the exit code of a command such as
`--check`. After a run they end the process themselves. The imports of the program belong inside the function that it
passes, so that wrong settings are reported before heavy packages are loaded.
"""

from __future__ import annotations

import os
import sys

from sidecars import chassis
from sidecars.chassis.config.effective_settings import declared_roots, effective
from sidecars.chassis.config.settings import SettingsError, load
from sidecars.chassis.config.settings import variable as variable_of
from sidecars.chassis.isolation import confine
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.printable import truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from sidecars.chassis.config.memory_ledger import MemoryLedger
    from sidecars.chassis.config.settings import ServiceSettings, Settings

    R = TypeVar("R")
    S = TypeVar("S", bound=Settings)
    V = TypeVar("V", bound=ServiceSettings)

EX_USAGE = 64
_ARGUMENTS = "[--check[=all]|--help[=WORD]|--version]"
_SUMMARY = 200  # characters in the log's first line


def job(cls: type[S], run: Callable[[S], None], memory: Callable[[S], MemoryLedger] | None = None) -> int:
    """Run a program that does its work and ends. `memory` returns its ledger, for `--check`."""
    lifecycle.ensure_standard_streams()
    if sys.argv[1:]:
        return _command(cls, memory)
    logs.configure()

    def work() -> None:
        lifecycle.run_job(lambda: run(_load_settings(cls, os.environ)))

    return lifecycle.exit_now(lifecycle.exit_code_of(lambda: with_packages(cls, work)))


def service(
    cls: type[V],
    run: Callable[[V, lifecycle.ServiceContext], Coroutine[Any, Any, None]],
    memory: Callable[[V], MemoryLedger] | None = None,
) -> int:
    """Run a program that keeps running until a stop signal. `memory` returns its ledger, for `--check`."""
    lifecycle.ensure_standard_streams()
    if sys.argv[1:]:
        return _command(cls, memory)
    lifecycle.exit_on_stop_signal()
    logs.configure(libraries=True)

    def serve() -> None:
        settings = _load_settings(cls, os.environ, libraries=True)
        import uvloop  # noqa: PLC0415 - the images of jobs do not have it

        lifecycle.run_service(lambda context: run(settings, context), settings.drain_timeout, uvloop.new_event_loop)

    return lifecycle.exit_now(lifecycle.exit_code_of(lambda: with_packages(cls, serve)))


def job_or_service(
    cls: type[V],
    work: Callable[[V], None],
    serve: Callable[[V, lifecycle.ServiceContext], Coroutine[Any, Any, None]],
    stays: Callable[[V], bool],
    memory: Callable[[V], MemoryLedger] | None = None,
) -> int:
    """Run `serve` until a stop signal if `stays` returns True for the settings; else run `work`, which ends.

    `memory` returns the ledger of the program, for `--check`.
    """
    lifecycle.ensure_standard_streams()
    if sys.argv[1:]:
        return _command(cls, memory)
    logs.configure()

    def run() -> None:
        settings = _load_settings(cls, os.environ)
        if stays(settings):
            lifecycle.exit_on_stop_signal()
            logs.configure(settings.log_level, settings.log_format, libraries=True)
            lifecycle.run_service(lambda context: serve(settings, context), settings.drain_timeout)
        else:
            work(settings)

    return lifecycle.exit_now(lifecycle.exit_code_of(lambda: with_packages(cls, lambda: lifecycle.run_job(run))))


def with_packages(cls: type[Settings], work: Callable[[], R]) -> R:
    """Return the result of the work. Raises Unavailable if a package that the sidecar's extra installs is missing."""
    try:
        return work()
    except ModuleNotFoundError as error:
        package = (error.name or "sidecars").partition(".")[0]
        if package == "sidecars" or package in sys.stdlib_module_names:
            raise
        extra = f"{what_pip_installs()}[{cls.PREFIX.lower()}]"
        raise lifecycle.Unavailable(
            f"the package {package} is not installed: pip install '{extra}'", code="package-missing"
        ) from None


def what_pip_installs() -> str:
    """Return `sidecars` if the kit is installed by that name, and otherwise the folder that holds its code.

    Whoever runs a checkout must not be told the name: pip would look for it at PyPI, where it may be a stranger's.
    """
    from importlib import metadata  # noqa: PLC0415 - seldom needed, and slow to load
    from pathlib import Path  # noqa: PLC0415 - seldom needed, and slow to load

    try:
        return metadata.distribution("sidecars").name
    except metadata.PackageNotFoundError:
        return str(Path(__file__).resolve().parents[2])


def _load_settings(cls: type[S], environ: Mapping[str, str], *, libraries: bool = False) -> S:
    """Return the settings, and log their summary. It is confined to their roots from here on.

    `libraries` includes the log lines of libraries.
    """
    try:
        settings = load(cls, environ)
    except SettingsError as error:
        form = environ.get(f"{cls.PREFIX}_LOG_FORMAT")
        logs.configure(form=form if form in logs.FORMATS else "auto")
        raise lifecycle.BadSettings(str(error), code="bad-settings") from None
    logs.configure(settings.log_level, settings.log_format, libraries=libraries)
    confine_to_roots(settings, environ)  # before the first line, which may need a thread
    log = logs.get(cls.PREFIX.lower())
    _log_first_lines(log, settings)
    for sentence in settings.warn():
        log.warning(sentence, code="risky-setting")
    confine.log_status()
    return settings


def _log_first_lines(log: logs.Log, settings: Settings) -> None:
    """Log what this process is and will do; at level debug the settings, too: a line each for eyes, else one line."""
    name = settings.PREFIX.lower()
    summary = truncate(logs.scrubbed(settings.summary(), f"log line of {name}"), _SUMMARY)
    if logs.is_text():
        sentence = f"{name} {chassis.__version__}: {summary}"
        log.info(sentence.removesuffix(": "))
    else:
        log.info("starting", name=name, version=chassis.__version__, summary=summary)
    if settings.log_level == "debug":
        shown = {variable: value for variable, value in effective(settings).items() if value}
        for fields in [{each: shown[each]} for each in shown] if logs.is_text() else [shown]:
            log.debug("settings", **fields)


def confine_to_roots(settings: Settings, environ: Mapping[str, str]) -> None:
    """Confine this process to the roots of its settings. Raises Unavailable if they are required and not to be had."""
    variable = variable_of(type(settings), "confinement")
    confine.confine(declared_roots(settings, environ), settings.confinement, variable)


def _command(cls: type[S], memory: Callable[[S], MemoryLedger] | None) -> int:
    from sidecars.chassis import streams  # noqa: PLC0415 - a job that runs does not load it

    return streams.run_command(lambda: _run_arguments(cls, sys.argv[1:], os.environ, memory))


def _run_arguments(
    cls: type[S], argv: Sequence[str], environ: Mapping[str, str], memory: Callable[[S], MemoryLedger] | None
) -> int:
    """Run the command of the arguments, which prints to stdout. No argument is a setting."""
    name = cls.PREFIX.lower()
    match argv:
        case ["--version"]:
            print(f"{name} {chassis.__version__}")
        case ["--help" | "-h"]:
            return _help(cls)
        case ["--help" | "-h", word] if word and not word.startswith("-"):
            return _help(cls, word)
        case [argument] if argument.startswith("--help=") and argument != "--help=":
            return _help(cls, argument.removeprefix("--help="))
        case ["--check" | "--check=all" as command]:
            return _check(cls, environ, memory, everything=command != "--check")
        case _:
            print(f"{name}: no such argument: {' '.join(argv)}; settings are environment variables", file=sys.stderr)
            print(f"usage: {_usage(name)}", file=sys.stderr)
            return EX_USAGE
    return 0


def _check(
    cls: type[S], environ: Mapping[str, str], memory: Callable[[S], MemoryLedger] | None, *, everything: bool
) -> int:
    """Print the settings to stdout if they are right; the warnings and the memory, or the mistakes, to stderr."""
    try:
        settings = with_packages(cls, lambda: load(cls, environ))
        ledger = with_packages(cls, lambda: memory(settings)) if memory else None
    except SettingsError as error:
        print(error, file=sys.stderr)
        return lifecycle.BadSettings.exit_code
    except lifecycle.Unavailable as error:
        print(error.reason, file=sys.stderr)
        return error.exit_code
    for line in _checked(settings, environ, everything=everything):
        print(line)
    for sentence in settings.warn():
        print(f"warning: {sentence}", file=sys.stderr)
    for line in ledger.lines() if ledger else ():
        print(line, file=sys.stderr)
    return 0


def _checked(settings: Settings, environ: Mapping[str, str], *, everything: bool) -> Iterable[str]:
    """Return the lines for stdout: each variable with its value in force, or those that a person has to see."""
    if everything:
        return [f"{variable}={value}" for variable, value in effective(settings).items()]
    from sidecars.chassis.config import check_report  # noqa: PLC0415 - a program that runs does not load it

    return check_report.lines(settings, environ)


def _help(cls: type[Settings], word: str = "") -> int:
    """Print the settings, or those whose name or meaning has the word."""
    from sidecars.chassis.config import help_text  # noqa: PLC0415 - a program that runs does not load it

    if text := help_text.of(cls, _usage(cls.PREFIX.lower()), word):
        print(text)
        return 0
    print(f"{cls.PREFIX.lower()}: no setting has {word} in its name or meaning; --help lists all", file=sys.stderr)
    return EX_USAGE


def _usage(name: str) -> str:
    """Return the command as the user typed it, an installed one by its name, else as a module; and its arguments."""
    typed = sys.argv[0].rpartition("/")[2]
    return f"{typed if typed == f'sidecars-{name}' else f'python -m sidecars.{name}'} {_ARGUMENTS}"
