"""Small programs for the tests: `python -m tests.chassis.programs`. DEMO_DO chooses one.

DEMO_TERMINATION_LOG is the path of the termination log, because only Kubernetes makes the usual file.
OPEN_FILES="soft hard" sets the limits of open files first of all. With SLOW_SETTINGS the settings are never read.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import sys
import threading
import time
from typing import ClassVar, NoReturn

from sidecars.chassis import admin_server, commandline
from sidecars.chassis.config.setting_types import Secret, SettingType, choice, secret, text
from sidecars.chassis.config.settings import ServiceSettings, setting
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.chassis.runtime import lifecycle, logs
from sidecars.chassis.runtime.light_dataclasses import dataclass

log = logs.get("demo")


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    PREFIX: ClassVar[str] = "DEMO"

    do: str = setting(
        choice(
            "wait",
            "end",
            "slow",
            "stubborn",
            "deaf",
            "thread",
            "fail",
            "fail_draining",
            "group",
            "defect",
            "mixed",
            "stray",
            "admin",
            "starve",
            "job",
            "job_slow",
            "job_fail",
        ),
        "what to do",
        default="wait",
    )
    kind: str = setting(text, "the failure's kind", default="IOFailed")
    reason: str = setting(text, "the failure's reason", default="DEMO_DO: it failed")
    password: Secret | None = setting(secret, "nobody may see it", default="")
    termination_log: object = setting(
        SettingType("path", str, roots=lambda path: [DeclaredRoot(path, roots.OVERWRITE, alone=True)]),
        "instead of the usual one",
        default="/nowhere",
    )


def failure(settings: Settings) -> lifecycle.Failure:
    setting_type: type[lifecycle.Failure] = getattr(lifecycle, settings.kind)
    return setting_type(settings.reason, code="demo-failed")


async def run(settings: Settings, context: lifecycle.ServiceContext) -> None:
    log.info("running")
    await globals()[f"do_{settings.do}"](settings, context)


async def do_wait(_settings: Settings, context: lifecycle.ServiceContext) -> None:
    await context.stopping.wait()


async def do_end(_settings: Settings, _context: lifecycle.ServiceContext) -> None:
    """Return at once."""


async def do_slow(_settings: Settings, context: lifecycle.ServiceContext) -> None:
    """Drain without an end, but end when cancelled."""
    await context.stopping.wait()
    try:
        await asyncio.Event().wait()
    finally:
        log.info("unwound")


async def do_stubborn(_settings: Settings, context: lifecycle.ServiceContext) -> None:
    """Drain without an end, and refuse to be cancelled."""
    await context.stopping.wait()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.info("shrugged off")


async def do_deaf(_settings: Settings, context: lifecycle.ServiceContext) -> None:
    """Drain to the end, and leave a thread that hangs."""
    threading.Thread(target=time.sleep, args=[3600]).start()
    await context.stopping.wait()


async def do_thread(_settings: Settings, context: lifecycle.ServiceContext) -> None:
    """Drain with a wait for a thread that hangs, such as a write to a lost disk."""
    await context.stopping.wait()
    await asyncio.to_thread(time.sleep, 3600)


async def do_fail(settings: Settings, _context: lifecycle.ServiceContext) -> None:
    raise failure(settings)


async def do_fail_draining(settings: Settings, context: lifecycle.ServiceContext) -> None:
    await context.stopping.wait()
    raise failure(settings)


async def do_group(settings: Settings, _context: lifecycle.ServiceContext) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(do_fail(settings, _context))
        tasks.create_task(asyncio.sleep(3600))


async def do_defect(settings: Settings, _context: lifecycle.ServiceContext) -> None:
    raise KeyError(settings.reason)


async def do_mixed(settings: Settings, _context: lifecycle.ServiceContext) -> None:
    raise ExceptionGroup("both", [failure(settings), ExceptionGroup("inner", [KeyError("a defect")])])


async def do_stray(_settings: Settings, context: lifecycle.ServiceContext) -> None:
    """Raise an error in a callback, which is logged and ends nothing."""

    def broken() -> None:
        raise KeyError("in a callback")

    asyncio.get_running_loop().call_soon(broken)
    await context.stopping.wait()


async def do_admin(settings: Settings, context: lifecycle.ServiceContext) -> None:
    async with admin_server.serve(settings, context.health, admin_server.registry(), lambda: {"mood": "fine"}):
        await context.stopping.wait()


async def do_starve(settings: Settings, context: lifecycle.ServiceContext) -> None:
    """Open every free descriptor, again and again, while the admin server answers."""
    taken: list[int] = []
    told = False
    async with admin_server.serve(settings, context.health, admin_server.registry(), lambda: {"taken": len(taken)}):
        while not context.stopping.is_set():
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                await asyncio.sleep(0)
            if not told:
                told = True
                log.info("starving", taken=len(taken))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(context.stopping.wait(), 0.001)


def job(settings: Settings) -> None:
    log.info("running")
    if settings.do == "job_fail":
        raise failure(settings)
    try:
        time.sleep(3600 if settings.do == "job_slow" else 0)
    finally:
        log.info("unwound")


def _load_slowly(*_arguments: object) -> NoReturn:
    print("reading", flush=True)  # noqa: T201 - for the test
    time.sleep(3600)
    raise AssertionError("nobody has stopped it")


def main() -> int:
    if limit := os.environ.get("OPEN_FILES"):
        soft, hard = map(int, limit.split())
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if os.environ.get("SLOW_SETTINGS"):
        vars(commandline)["load"] = _load_slowly
    place = os.environ.get("DEMO_TERMINATION_LOG", "")
    lifecycle.exit_code_of = functools.partial(lifecycle.exit_code_of, termination_log=place)
    if os.environ.get("DEMO_DO", "").startswith("job"):
        return commandline.job(Settings, job)
    return commandline.service(Settings, run)


if __name__ == "__main__":
    sys.exit(main())
