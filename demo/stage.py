"""The stage of the demo: one folder in place of the Pod's volumes, loopback ports, and a process for each container."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds; far more than anything takes, for busy machines


class Broken(Exception):
    """The demo cannot go on: a necessary event did not happen in time."""


class Actor:
    """A running process and its stderr."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, stderr: Path) -> None:
        self.name = name
        self.process = process
        self._stderr = stderr

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end and return the exit code. Raises Broken if it does not end in time."""
        try:
            return await asyncio.wait_for(self.process.wait(), PATIENCE)
        except TimeoutError:
            raise Broken(f"{self.name} did not end within {PATIENCE:g} s") from None

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()

    @property
    def last_words(self) -> str:
        """Return the message of the last log line."""
        lines = self._stderr.read_text(errors="replace").strip().splitlines()
        with contextlib.suppress(ValueError, IndexError):
            return str(json.loads(lines[-1])["msg"])
        return lines[-1] if lines else ""


class Stage:
    """The folders and processes of one demo. At the end of its async context no process is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.actors: list[Actor] = []
        for name in ("artifacts", "webapps", "logs", "state", "said"):
            (folder / name).mkdir()
        self._ports: set[int] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for actor in self.actors:
            if actor.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    actor.process.kill()
                await actor.process.wait()

    def port(self) -> int:
        """Return a free port on loopback, never the same one twice."""
        while True:
            with socket.socket() as trial:
                trial.bind(("127.0.0.1", 0))
                port: int = trial.getsockname()[1]
            if port not in self._ports:
                self._ports.add(port)
                return port

    async def sidecar(self, name: str, **environ: object) -> Actor:
        """Start a sidecar as a container does, configured by environment variables alone."""
        return await self._start(name, ["-m", f"sidecars.{name}"], {key: str(value) for key, value in environ.items()})

    async def script(self, name: str, file: str, *arguments: object) -> Actor:
        """Start one of the demo's own programs."""
        return await self._start(name, [str(ROOT / "demo" / file), *map(str, arguments)], {})

    async def _start(self, name: str, arguments: list[str], environ: Mapping[str, str]) -> Actor:
        said = self.folder / "said" / f"{name}-{len(self.actors)}"
        with said.open("wb") as stderr:
            process = await self._spawn(arguments, environ, stderr)
        actor = Actor(name, process, said)
        self.actors.append(actor)
        return actor

    async def _spawn(
        self, arguments: list[str], environ: Mapping[str, str], stderr: IO[bytes]
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops them itself
        )


async def until(condition: Callable[[], Awaitable[Any] | Any], what: str) -> Any:
    """Return the first truthy value of the condition. Raises Broken with `what` if there is none in time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        value = await value if asyncio.iscoroutine(value) else value
        if value:
            return value
        if time.monotonic() > deadline:
            raise Broken(f"not within {PATIENCE:g} s: {what}")
        await asyncio.sleep(0.02)


async def responds(client: httpx.AsyncClient, url: str) -> bool:
    """Return True if a request to the URL gets a 2xx."""
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
