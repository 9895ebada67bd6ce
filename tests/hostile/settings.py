"""Settings with which each sidecar runs as a service beside the planter, and the port of its probe."""

from __future__ import annotations

import contextlib
import http.client
from dataclasses import dataclass

from tests.hostile import wars
from tests.hostile.neighbourhood import Neighbourhood
from tests.support import PATIENCE, Program, free_port

SIDECARS = ("warcopier", "logshipper", "ambassador", "adapter")


@dataclass(frozen=True)
class Service:
    """A sidecar at work: `admin` is the port of its probes, `port` the one that it serves, 0 if it serves none."""

    program: Program
    admin: int
    port: int


def serve(here: Neighbourhood, *, traced: bool = True, host: str = "127.0.0.1", **more: str) -> Service:
    """Start the sidecar of the neighbourhood as a service, and wait until it is ready."""
    admin, port = free_port(), free_port() if here.sidecar in ("ambassador", "adapter") else 0
    prefix = here.sidecar.upper()
    environ = {f"{prefix}_ADMIN_LISTEN": f"{host}:{admin}", **more}
    if here.sidecar == "warcopier":
        (here.folder / "source" / "shop.war").write_bytes(wars.war())
        folders = {"WARCOPIER_SOURCE": str(here.folder / "source"), "WARCOPIER_TARGET": str(here.folder / "target")}
        environ |= folders | {"WARCOPIER_WATCH": "true", "WARCOPIER_RESERVE": "0"}
    elif here.sidecar == "logshipper":
        environ |= {"LOGSHIPPER_PATHS": f"{here.folder}/vol/*.log", "LOGSHIPPER_SINK": f"file://{here.folder}/sink"}
        environ |= {"LOGSHIPPER_STATE_DIR": str(here.folder / "state")}
    elif here.sidecar == "ambassador":
        environ |= {"AMBASSADOR_LISTEN": f"{host}:{port}"}
        environ.setdefault("AMBASSADOR_UPSTREAM", "http://127.0.0.1:1")
    else:
        environ |= {"ADAPTER_LISTEN": f"{host}:{port}"}
        environ.setdefault("ADAPTER_TARGET", "http://127.0.0.1:1")
    program = here.start(environ, traced=traced)
    program.wait_ready(admin)
    return Service(program, admin, port)


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    """Return the status and the text of an answer, on a connection of its own."""
    client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with contextlib.closing(client):
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()
