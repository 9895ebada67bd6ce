"""The page of the demo: of a real demo from its first event to its last, and of a story that a test tells."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from demo.events import Journal
from demo.page.history import History
from demo.page.server import PageServer
from tests.browser.conftest import NARROW, WIDE, Window, opened
from tests.browser.pod import HOSTILE, LONG, MARKUP
from tests.browser.visits import Visit, visit
from tests.support import Program, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOLDS = "every line of the ledger holds"


@pytest.fixture(scope="module")
def performed(demo: Program, browser: Browser) -> Iterator[dict[str, Visit]]:
    """Pages that were opened while the demo went on, light and wide, dark and narrow; the demo has ended since."""
    found = wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+/", demo.stdout), "the address of the demo's page")
    contexts = {"light": opened(browser, "light", WIDE), "dark": opened(browser, "dark", NARROW)}
    visits = {scheme: visit(context, found[0]) for scheme, context in contexts.items()}
    wait_until(lambda: "of the ledger holds" in demo.stdout or "does NOT hold" in demo.stdout, "the demo's end")
    yield visits
    for context in contexts.values():
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ledger_fills_up_and_the_page_is_clean_at_the_end(
    performed: dict[str, Visit], demo: Program, scheme: str
) -> None:
    assert HOLDS in demo.stdout, demo.stdout
    seen = performed[scheme]
    seen.page.locator("#act").filter(has_text=HOLDS).wait_for()
    entries = re.findall(r"^  (?:ok|WRONG) +\w+", demo.stdout, re.MULTILINE)
    assert seen.page.locator("#ledger tr").count() == len(entries) > 0
    assert seen.reaches_sideways() == []
    assert seen.violations() == []
    assert seen.said == []
    assert seen.strangers(seen.page.url.rstrip("/")) == []


class Told:
    """A story of which each event is told by the test, on a server in a thread of its own."""

    def __init__(self) -> None:
        self.url = ""
        self._history = History()
        self._loop = asyncio.new_event_loop()
        self._journal = Journal(listeners=[self._history.take])
        self._served, self._over = threading.Event(), asyncio.Event()

    def say(self, who: str, what: str) -> None:
        self._loop.call_soon_threadsafe(self._journal.say, who, what)

    @contextmanager
    def served(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])
        thread.start()
        self._served.wait()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            thread.join()
            self._loop.close()

    async def _serve(self) -> None:
        async with PageServer(self._history) as page:
            self.url = page.url
            self._served.set()
            await self._over.wait()


@pytest.fixture
def told() -> Iterator[Told]:
    story = Told()
    with story.served():
        yield story


def test_an_event_arrives_when_it_happens_and_a_late_page_has_all_of_them(window: Window, told: Told) -> None:
    told.say("app", "began")
    early = visit(window(), told.url)
    early.shown("began")
    told.say("app", "went on")
    early.shown("went on")
    late = visit(window(), told.url)
    late.shown("began")
    late.shown("went on")
    assert early.said == late.said == []


def test_a_hostile_text_of_an_event_is_shown_as_text(window: Window, told: Told) -> None:
    told.say("app", HOSTILE + LONG)
    seen = visit(window(size=NARROW), told.url)
    seen.shown(MARKUP)
    assert seen.page.locator("[data-planted]").count() == 0
    assert "planted" not in seen.page.title()
    assert seen.reaches_sideways() == []
    assert seen.said == []


def test_without_scripts_the_page_says_where_the_story_is_told_in_words(window: Window, told: Told) -> None:
    seen = visit(window(javascript=False), told.url)
    seen.shown_without_scripts("The terminal shows the same story in words")
