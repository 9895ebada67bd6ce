"""What a program loads until it is ready. A time would depend on the machine: a list of modules does not.

A module that is new on the way to readiness makes each start of each Pod slower. One that only a later request needs,
or only some settings, is imported by the function that uses it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import PATIENCE, Program, free_port, wait_until

# Loaded by the first scrape, by a failure, by a command such as `--check`, or not at all.
LATER = frozenset(
    {
        "email",
        "http.server",
        "prometheus_client",
        "sidecars.chassis.accept.port_holder",
        "sidecars.chassis.config.memory_ledger",
        "sidecars.chassis.memory",
        "sidecars.chassis.metrics",
        "sidecars.chassis.page",
        "urllib.request",
        "wsgiref",
        "zipfile",
    }
)
# Of these no image has one.
NEVER = frozenset({"aiohttp", "attr", "httpx", "pydantic", "requests", "rich", "setuptools", "typing_extensions"})
ASYNC = frozenset({"asyncio", "h11", "ssl", "uvloop", "logging", "sidecars.chassis.admin_server"})
MODES = ("sidecars.adapter.rules", "sidecars.adapter.exposition.parser", "sidecars.adapter.health")
WAYS = (
    "sidecars.ambassador.transport.ways",
    "sidecars.ambassador.proxy.tcp",
    "sidecars.ambassador.discovery.proxy_addresses",
    "sidecars.chassis.http.proxy",
)
SHOW = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: print(*sorted(sys.modules), "end", flush=True))
from sidecars.{name}.__main__ import main
sys.exit(main())
"""
SHOW_JOB = """
import sys
from sidecars.chassis import commandline
from sidecars.warcopier import app
from sidecars.warcopier.settings import Settings
sys.exit(commandline.job(Settings, lambda settings: (app.run(settings), print(*sorted(sys.modules), "end"))))
"""


def settings_of(name: str, folder: Path) -> dict[str, str]:
    """Return the smallest useful settings of a service, without its admin port."""
    return {
        "adapter": {"ADAPTER_TARGET": "http://127.0.0.1:9", "ADAPTER_LISTEN": f"127.0.0.1:{free_port()}"},
        "ambassador": {
            "AMBASSADOR_UPSTREAM": "http://127.0.0.1:9",
            "AMBASSADOR_LISTEN": f"127.0.0.1:{free_port()}",
        },
        "logshipper": {
            "LOGSHIPPER_PATHS": f"{folder}/*.log",
            "LOGSHIPPER_SINK": f"http://127.0.0.1:{free_port()}/",
            "LOGSHIPPER_STATE_DIR": str(folder),
        },
        "warcopier": {
            "WARCOPIER_WATCH": "true",
            "WARCOPIER_SOURCE": str(folder / "shop"),
            "WARCOPIER_TARGET": str(folder),
            "WARCOPIER_VALIDATE": "none",
        },
    }[name]


def loaded(script: str, environ: Mapping[str, str], folder: Path, admin_port: int = 0) -> frozenset[str]:
    """Return the modules of a service that is ready, or of a job at its end."""
    program = Program(["-c", script], environ, folder)
    try:
        if admin_port:
            program.wait_ready(admin_port)
            program.signal(signal.SIGUSR1)
        wait_until(lambda: program.stdout.endswith(" end\n"), f"the modules; so far:\n{program.stderr}")
        return frozenset(program.stdout.split()[:-1])
    finally:
        program.process.kill()
        program.wait(PATIENCE)


def own(modules: frozenset[str]) -> list[str]:
    return sorted(name for name in modules if name.startswith("sidecars."))


@pytest.fixture
def war(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "shop" / "shop.war").write_bytes(b"this is not looked at")
    return tmp_path / "shop" / "shop.war"


@pytest.mark.parametrize(
    ("name", "most", "also_later"),
    [
        ("adapter", 84, (*MODES, "ctypes", "multiprocessing", "pathlib")),
        # Two of them declare the settings of identity. Nothing else of it is loaded without AUTH.
        ("ambassador", 169, ("pycares", "sidecars.ambassador.workers.supervisor", *WAYS, "ctypes", "multiprocessing")),
        ("logshipper", 196, ("multiprocessing",)),  # inotify-simple loads ctypes
        ("warcopier", 86, ("ctypes",)),  # watchfiles loads multiprocessing and pathlib; ADMIN_LISTEN has needs
    ],
)
@pytest.mark.usefixtures("war")
def test_a_service_loads_only_what_it_needs_to_be_ready(
    name: str, most: int, also_later: tuple[str, ...], tmp_path: Path
) -> None:
    port = free_port()
    folder = tmp_path / "target"
    environ = {**settings_of(name, folder), f"{name.upper()}_ADMIN_LISTEN": f"127.0.0.1:{port}"}
    environ |= {"WARCOPIER_SOURCE": str(tmp_path / "shop")} if name == "warcopier" else {}

    modules = loaded(SHOW.format(name=name), environ, tmp_path, port)

    assert {"asyncio", "h11", "sidecars.chassis.admin_server"} <= modules, "the test looks at the wrong moment"
    assert sorted(modules & (LATER | NEVER | set(also_later))) == []
    assert len(own(modules)) <= most, " ".join(own(modules))


def test_a_job_loads_neither_an_event_loop_nor_a_server(war: Path, tmp_path: Path) -> None:
    environ = {"WARCOPIER_SOURCE": str(war), "WARCOPIER_TARGET": str(tmp_path / "target")}

    modules = loaded(SHOW_JOB, {**environ, "WARCOPIER_VALIDATE": "none"}, tmp_path)

    assert "sidecars.warcopier.target.commit" in modules, "the test looks at the wrong moment"
    assert (
        sorted(modules & (LATER | NEVER | ASYNC | {"dataclasses", "socket", "urllib.parse", "pathlib", "ctypes"})) == []
    )
    assert len(own(modules)) <= 52, " ".join(own(modules))
