"""The sink stdout: acceptance, stalled and failing writes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from pathlib import Path

import pytest

from sidecars.chassis.runtime.lifecycle import Unavailable
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.sinks.local.stdout import StdoutSink
from tests.logshipper.support import a_batch, a_chunk, descriptors_up_to


def batch(text: str, start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start))


async def test_stdout_gets_the_lines_as_they_are() -> None:
    reader, writer = os.pipe()
    await StdoutSink("LOGSHIPPER_SINK", writer).deliver(batch("1\r\n2\n"))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"1\r\n2\n"


async def test_stdout_gets_records_if_it_has_a_schema() -> None:
    reader, writer = os.pipe()
    await StdoutSink("LOGSHIPPER_SINK", writer, ndjson.encoder("ecs")).deliver(batch("1\n2\n"))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert [json.loads(line)["message"] for line in pipe] == ["1", "2"]


async def test_a_reader_that_stalls_holds_up_neither_the_loop_nor_the_line(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    text = "x" * 500_000 + "\n"
    delivery = asyncio.create_task(StdoutSink("LOGSHIPPER_SINK", writer).deliver(batch(text)))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not delivery.done()
    got = b""
    while len(got) < len(text):
        got += await asyncio.to_thread(os.read, reader, 1 << 20)
    await delivery
    assert got == text.encode()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("lowest", [0, 1024])
async def test_a_write_that_failed_half_way_goes_on_from_there(monkeypatch: pytest.MonkeyPatch, lowest: int) -> None:
    reader, end = os.pipe()
    with descriptors_up_to(4096):
        writer = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(end)
    sink = StdoutSink("LOGSHIPPER_SINK", writer)
    real, failures = os.write, [OSError(28, "No space left on device"), BlockingIOError()]

    def write(descriptor: int, data: bytes) -> int:
        if descriptor != writer:
            return real(descriptor, data)
        if len(data) < 4 and failures:
            raise failures.pop()
        return real(descriptor, bytes(data)[:1])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(RetryLater, match="No space"):
        await sink.deliver(batch("1\n2\n"))
    await sink.deliver(batch("1\n2\n"))
    await sink.deliver(batch("1\n2\n"))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"1\n2\n1\n2\n"


async def test_a_reader_that_is_gone_ends_the_program() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(Unavailable, match="LOGSHIPPER_SINK=stdout: nobody reads"):
        await StdoutSink("LOGSHIPPER_SINK", writer).deliver(batch("1\n"))
    os.close(writer)
