"""A worker without its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from sidecars.ambassador.settings import Settings
from sidecars.ambassador.workers import worker
from sidecars.ambassador.workers.plan import WorkerPlan
from sidecars.ambassador.workers.shares import Shares
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.support import PATIENCE


@pytest.mark.parametrize("reports", ["read", "unread"])
async def test_a_worker_drains_when_its_supervisor_is_gone_whether_its_reports_were_read_or_not(
    monkeypatch: pytest.MonkeyPatch, reports: str
) -> None:
    signals: list[tuple[int, int]] = []
    context = ServiceContext(1.0)

    def kill(pid: int, number: int) -> None:
        signals.append((pid, number))
        context.stopping.set()

    monkeypatch.setattr(os, "kill", kill)
    settings = load(Settings, {"AMBASSADOR_UPSTREAM": "http://10.0.0.1", "AMBASSADOR_LISTEN": "127.0.0.1:0"})
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    shares = Shares.create(1)
    plan = WorkerPlan(1, theirs.detach(), -1, shares.descriptor, {"default": [listening.detach()]})
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        running = loop.create_task(worker.work(settings, context, plan))
        first = await loop.sock_recv(ours, 1)
        assert first == b"{"
        while reports == "read" and not (await loop.sock_recv(ours, 1 << 20)).endswith(b"\n"):
            pass
        ours.close()
        await running
    assert signals == [(os.getpid(), signal.SIGTERM)]
