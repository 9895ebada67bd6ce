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
    """The demo cannot go on: something that must happen did not."""


class Actor:
    """A running process, and what it says on stderr."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, stderr: Path) -> None:
        self.name = name
        self.process = process
        self._stderr = stderr

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code. Raises Broken when it does not end."""
        try:
            return await asyncio.wait_for(self.process.wait(), PATIENCE)
        except TimeoutError:
            raise Broken(f"{self.name} did not end within {PATIENCE:g} s") from None

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()

    @property
    def last_words(self) -> str:
        """The message of its last log line."""
        lines = self._stderr.read_text(errors="replace").strip().splitlines()
        with contextlib.suppress(ValueError, IndexError):
            return str(json.loads(lines[-1])["msg"])
        return lines[-1] if lines else ""


class Stage:
    """Folders and processes of one performance; as an async context manager it leaves nothing running."""

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
        """A free port on loopback, never the same one twice."""
        while True:
            with socket.socket() as trial:
                trial.bind(("127.0.0.1", 0))
                port: int = trial.getsockname()[1]
            if port not in self._ports:
                self._ports.add(port)
                return port

    async def sidecar(self, name: str, **environ: object) -> Actor:
        """Start a sidecar as its container would be: configured by environment variables alone."""
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
    """The first truthy value of the condition. Raises Broken with `what` when there is none in time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        value = await value if asyncio.iscoroutine(value) else value
        if value:
            return value
        if time.monotonic() > deadline:
            raise Broken(f"not within {PATIENCE:g} s: {what}")
        await asyncio.sleep(0.02)


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Whether a URL is answered with success."""
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
