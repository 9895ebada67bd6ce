"""One sidecar that is watched: its address, its last answers, and since when it does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from sidecars.chassis.page.picture import Picture
from sidecars.chassis.runtime.printable import printable, truncate
from sidecars.top import page_data
from sidecars.top.measures import Measures

INTERVAL = 2.0  # seconds between two looks
_SIBLINGS_EVERY = 5  # looks
_MAX_BODY = 8 * 1024 * 1024  # bytes of an answer
_DEADLINE = 5.0  # seconds of an answer
_HTML, _JSON = {"Accept": "text/html"}, {"Accept": "application/json"}


class NoAnswer(Exception):
    """The sidecar did not answer, or not as one. The text is a sentence for people."""


class Watched:
    """One sidecar by the URL of its admin port, perhaps with a path: that of a proxy.

    `label` is the name of a sidecar that is expected at a default port, where there may be none.
    """

    def __init__(self, url: str, label: str = "") -> None:
        given = httpx.URL(url).copy_with(query=None, fragment=None)
        self.base = given.copy_with(path=f"{given.path.rstrip('/')}/")
        self.shown = printable(str(self.base.copy_with(userinfo=b"")))
        self.label = label
        self.picture = Picture()
        self.status: Mapping[str, Any] = {}  # empty until the first answer
        self.siblings: list[Mapping[str, Any]] = []
        self.measures = Measures()
        self.failure = ""  # why there is no answer; "" while there is one
        self.since = time.time()  # of the failure
        self._has_picture = False
        self._looks = 0

    async def look(self, client: httpx.AsyncClient) -> None:
        """Ask once. A sidecar that does not answer keeps its last status."""
        try:
            async with asyncio.timeout(_DEADLINE):
                await self._ask(client)
        except (NoAnswer, TimeoutError) as error:
            if not self.failure:
                self.since = time.time()
            self.failure = str(error) or f"no response within {_DEADLINE:g} s"
            self._has_picture = False  # another version may come back
            self._looks = 0
        else:
            self.failure = ""

    async def keep_looking(self, client: httpx.AsyncClient, seen: Callable[[], object]) -> None:
        """Ask again and again, until cancelled. `seen` is called after each answer."""
        while True:
            await self.look(client)
            seen()
            await asyncio.sleep(INTERVAL)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            status = self.status
            if self._has_picture:
                status = page_data.status(page_data.document(await self._get(client, "status?compact", _JSON)))
            if not self._has_picture or _who(status) != _who(self.status):  # another one may have taken its place
                data = page_data.read(await self._get(client, "", _HTML))
                self.picture, status, self._has_picture = data.picture, data.status, True
            self.status = status
            if self._looks % _SIBLINGS_EVERY == 0:
                found = page_data.document(await self._get(client, "siblings", _JSON)).get("siblings")
                self.siblings = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        except ValueError as error:
            raise NoAnswer(str(error)) from None
        self._looks += 1

    async def _get(self, client: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> str:
        try:
            async with client.stream("GET", self.base.join(path), headers=headers) as response:
                body = b""
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > _MAX_BODY:
                        raise NoAnswer(f"its answer is larger than {_MAX_BODY // 2**20} MiB")
        except httpx.HTTPError as error:
            raise NoAnswer(_short(str(error) or type(error).__name__)) from None
        if response.status_code != 200:  # noqa: PLR2004 - as logs and docs call it
            raise NoAnswer(f"HTTP {response.status_code}: {_short(body.decode(errors='replace').strip())}")
        return body.decode(errors="replace")


def _who(status: Mapping[str, Any]) -> tuple[Any, Any]:
    return status.get("name"), status.get("version")


def _short(text: str) -> str:
    return printable(truncate(text, 200))


def new_client() -> httpx.AsyncClient:
    """Return a client that follows no redirect, reads no proxy from the environment and keeps no cookie.

    A cookie is for a host and all its ports: a hostile one could fill the requests to the others until they refuse it.
    """
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(timeout=_DEADLINE, trust_env=False, follow_redirects=False, cookies=no_cookies)
