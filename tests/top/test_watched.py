"""The address of a sidecar."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from sidecars.top.watched import Watched, new_client


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://127.0.0.1:9912", "http://127.0.0.1:9912/status?compact"),
        ("http://[::1]:9912/", "http://[::1]:9912/status?compact"),
        ("http://h:1/pods/shop:9912/proxy", "http://h:1/pods/shop:9912/proxy/status?compact"),
        ("http://h:1/pods/shop:9912/proxy/?a=b#c", "http://h:1/pods/shop:9912/proxy/status?compact"),
    ],
)
def test_a_sidecar_is_asked_below_its_address_also_behind_a_proxy(url: str, asked: str) -> None:
    assert str(Watched(url).base.join("status?compact")) == asked


@pytest.mark.parametrize(
    "location", ["http://[", "//:99999999", "http://\x80", "http://xn--/", "file:///etc/passwd", "\t"]
)
async def test_a_hostile_one_sets_no_cookie_for_the_others_and_redirects_nobody(location: str) -> None:
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        cookies = "".join(f"Set-Cookie: c{number}={'x' * 3000}; Path=/\r\n" for number in range(8))
        head = f"HTTP/1.1 302 x\r\nLocation: {location}\r\n{cookies}Content-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("latin-1"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, new_client() as client:
        one = Watched(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(2):
            await one.look(client)

    assert one.failure
    assert len(heads) == 2
    assert all(len(head) < 1000 for head in heads)


async def test_the_picture_is_that_of_the_version_that_answers() -> None:
    said = {"version": ""}

    def answer(request: httpx.Request) -> httpx.Response:
        status = {"name": "adapter", "version": said["version"], "state": "ready"}
        if request.url.path != "/":
            return httpx.Response(200, json={"siblings": []} if request.url.path == "/siblings" else status)
        data = {
            "picture": [{"title": f"Rules of {said['version']}", "path": "rules"}],
            "status": status,
            "siblings": True,
        }
        return httpx.Response(200, text=f"<script type=application/json id=data>{json.dumps(data)}</script>")

    one, titles = Watched("http://127.0.0.1:9914"), []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        for said["version"] in ("1", "1", "2", "2"):
            await one.look(client)
            titles.append(one.picture.parts[0].title)

    assert titles == ["Rules of 1", "Rules of 1", "Rules of 2", "Rules of 2"]
