"""The other sidecars of the Pod, of which one may be hostile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis import siblings
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.siblings import Siblings
from tests.support import free_port

HEAD = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n"


def response(body: bytes, status: int = 200) -> bytes:
    return HEAD % (status, len(body)) + body


def ready(**more: Any) -> bytes:
    return response(
        json.dumps({"name": "adapter", "state": "ready", "reasons": [], "since_seconds": 7, **more}).encode()
    )


@contextlib.asynccontextmanager
async def neighbour(
    answers: bytes | None, *, endless: bool = False, requests: list[bytes] | None = None
) -> AsyncIterator[int]:
    """Answer each request on a port of loopback with these bytes; None is silence.

    `endless` repeats the last kilobyte for ever.
    """
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            (requests if requests is not None else []).append(head)
            if answers is not None:
                writer.write(answers)
                while endless:
                    writer.write(answers[-1024:])
                    await writer.drain()
                writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_a_sibling_says_its_state_its_reasons_and_since_when() -> None:
    body = json.dumps({"state": "not ready", "reasons": ["listener: not listening yet"], "since_seconds": 1.23456})
    async with neighbour(ready()) as good, neighbour(response(body.encode(), 503)) as bad:
        lines = await Siblings({"adapter": good, "logshipper": bad}).lines()

    assert lines == [
        {"name": "adapter", "port": good, "state": "ready", "reasons": [], "since_seconds": 7.0},
        {
            "name": "logshipper",
            "port": bad,
            "state": "not ready",
            "reasons": ["listener: not listening yet"],
            "since_seconds": 1.235,
        },
    ]


async def test_a_port_on_which_nothing_listens_is_a_sibling_that_is_not_here() -> None:
    [line] = await Siblings({"adapter": free_port()}).lines()

    assert (line["state"], line["since_seconds"]) == ("not here", None)


@pytest.mark.parametrize(
    "answers",
    [
        response(b"<html>ready</html>"),
        response(b"ready\n"),
        response(b"[" * 8000),
        response(b"x" * 100_000),
        response(b'{"state": ["ready"]}'),
        response(b'{"state": "ready"}', 404),
        response(b"\xff\xfe"),
        b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 x\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_a_program_that_is_no_sidecar_has_no_answer(answers: bytes) -> None:
    async with neighbour(answers) as port:
        [line] = await Siblings({"adapter": port}).lines()

    assert line["state"] == "no answer"
    assert len(line["reasons"]) == 1


@pytest.mark.parametrize(
    "answers",
    [
        HEAD % (200, 10**15) + b"x" * 1024,
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1024,
        b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 1024,
        b"HTTP/1.1 103 x\r\n\r\n" * 64,
    ],
)
async def test_a_neighbour_that_never_ends_is_not_read_for_ever(answers: bytes) -> None:
    async with neighbour(answers, endless=True) as port:
        [line] = await Siblings({"adapter": port}).lines()

    assert line["state"] == "no answer"


async def test_a_neighbour_that_says_nothing_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "_DEADLINE", 0.3)
    async with neighbour(None) as silent, neighbour(ready()) as port:
        lines = await Siblings({"silent": silent, "adapter": port}).lines()

    assert [line["state"] for line in lines] == ["no answer", "ready"]


async def test_what_a_neighbour_writes_is_short_and_shown_as_text() -> None:
    reasons = ["\x1b[2J\n\u202egnirts", "x" * 10_000, 7, {"a": 1}, *["more"] * 20]
    async with neighbour(ready(reasons=reasons)) as long, neighbour(ready(reasons=reasons[:1])) as port:
        too_long, line = await Siblings({"long": long, "adapter": port}).lines()

    assert too_long["state"] == "no answer"
    assert line["reasons"] == ["\\u001b[2J\\u000a\\u202egnirts"]


@given(
    st.integers(100, 599),
    st.one_of(
        st.binary(max_size=64),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ).flatmap(
            lambda value: st.sampled_from(["reasons", "since_seconds", "state"]).map(
                lambda member: json.dumps({"state": "ready", member: value}).encode()
            )
        ),
    ),
)
def test_whatever_a_neighbour_answers_a_line_has_one_of_five_states_short_texts_and_a_sane_age(
    status: int, body: bytes
) -> None:
    state, reasons, age = siblings._understood(ClientResponse(status, {}, body, early=False))

    assert state in (*siblings.STATES, siblings.NO_ANSWER)
    assert len(reasons) <= 5
    assert all(text.isprintable() and len(text) <= 200 for text in reasons)
    assert age is None or 0 <= age <= 1e9


async def test_many_that_ask_at_once_and_soon_after_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []
    monkeypatch.setattr(siblings, "_CACHED", 3600)
    async with neighbour(ready(), requests=requests) as port:
        asked = Siblings({"adapter": port})
        await asyncio.gather(*(asked.lines() for _ in range(20)))
        await asked.lines()

    assert len(requests) == 1
    assert requests[0].startswith(b"GET /readyz HTTP/1.1\r\n")


async def test_an_old_answer_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []
    monkeypatch.setattr(siblings, "_CACHED", 0)
    async with neighbour(ready(), requests=requests) as port:
        asked = Siblings({"adapter": port})
        await asked.lines()
        await asked.lines()

    assert len(requests) == 2


async def test_a_client_that_leaves_stops_no_question_of_others() -> None:
    async with neighbour(ready()) as port:
        asked = Siblings({"adapter": port})
        first = asyncio.create_task(asked.lines())
        second = asyncio.create_task(asked.lines())
        await asyncio.sleep(0)
        first.cancel()

        assert [line["state"] for line in await second] == ["ready"]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (None, {"warcopier": 9911, "logshipper": 9912, "ambassador": 9913}),
        ({}, {}),
        ({"adapter": 9914, "blue": 9920, "green": 9921}, {"green": 9921, "adapter": 9914}),
    ],
)
def test_a_sidecar_is_no_sibling_of_itself(ports: dict[str, int] | None, expected: dict[str, int]) -> None:
    assert siblings.others(ports, "adapter", [9920]) == expected


async def test_no_more_than_sixteen_are_asked() -> None:
    lines = await Siblings({f"sidecar{number}": free_port() for number in range(20)}).lines()

    assert len(lines) == 16


@pytest.mark.parametrize("digits", ["9" * 400, "-" + "9" * 4000, "9" * 4400, "1e999", "NaN"])
async def test_an_age_of_very_many_digits_is_no_age_and_no_defect(digits: str) -> None:
    body = f'{{"state": "ready", "reasons": [], "since_seconds": {digits}}}'.encode()
    async with neighbour(response(body)) as port, neighbour(ready()) as good:
        odd, fine = await Siblings({"logshipper": port, "adapter": good}).lines()

    assert odd["since_seconds"] is None
    assert fine["state"] == "ready"
