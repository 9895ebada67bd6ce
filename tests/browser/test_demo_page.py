"""The page of the demo in Chromium, with a story that a test tells: what it shows, and when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from demo.events import Journal
from demo.ledger import Ledger
from demo.page import server
from demo.page.history import History
from demo.page.server import PageServer
from tests.browser.conftest import NARROW, WIDE, Window
from tests.browser.visits import visit

HOSTILE = "<script>document.title = 'forged'</script>&lt;\r\n\r\n\u202egnp.exe\0" + "x" * 10_000


class Teller:
    """A server of the page in a thread of its own, and the journal of its story. The clock is `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._history = History()
        self.journal = Journal(lambda: self.now, [self._history.take])
        self.ledger = Ledger(self.journal.entered)
        self.url = ""
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._began.wait(60)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with PageServer(self._history) as page:
            self.url = page.url
            self._began.set()
            await self._over.wait()

    def tell(self, at: float, what: Callable[[], None]) -> None:
        """Do something at a time of the story, in the thread of the server."""

        def do() -> None:
            self.now = at
            what()

        asyncio.run_coroutine_threadsafe(self._done(do), self._loop).result(60)

    async def _done(self, do: Callable[[], None]) -> None:
        do()

    def begins(self) -> None:
        journal = self.journal
        self.tell(0.5, lambda: journal.act("start", "The sidecars start, and then the app"))
        self.tell(1.0, lambda: journal.became("app", "running"))
        self.tell(1.5, lambda: journal.say("app", "serves its page"))
        self.tell(1.6, lambda: self.ledger.expect("warcopier", "exit code of the first run", 0, 0))
        self.tell(2.0, lambda: journal.moved({"visits": 7, "calls": 7, "written": 140, "delivered": 120, "read": 120}))
        self.tell(3.0, lambda: journal.act("storage", "On purpose: the storage is down"))
        self.tell(3.1, lambda: journal.became("storage", "down", "503 to everything"))
        self.tell(4.0, lambda: journal.moved({"written": 1440, "refused": 3}))

    def goes_on(self) -> None:
        journal = self.journal
        self.tell(5.0, lambda: journal.became("storage", "running"))
        self.tell(5.5, lambda: journal.moved({"read": 1440, "delivered": 1440}))
        self.tell(5.6, lambda: journal.say("logshipper", "the storage is back"))

    def ends(self) -> None:
        self.tell(6.0, lambda: self.ledger.expect("logshipper", "lines written = lines delivered", 1440, 1440))
        self.tell(6.1, lambda: self.ledger.expect("app", "exit code", 0, 1))
        self.tell(6.2, lambda: self.journal.ended(holds=self.ledger.holds))

    def leave(self) -> None:
        """End the server."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(60)


@pytest.fixture
def teller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Teller]:
    monkeypatch.setattr(server, "GRACE", 0.1)  # a story without an end holds its streams for so long
    made = Teller()
    yield made
    made.leave()


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light-wide", "dark-narrow"])
def test_axe_finds_nothing_and_the_page_says_and_asks_nothing_unusual(
    window: Window, teller: Teller, scheme: str, size: tuple[int, int]
) -> None:
    teller.begins()
    teller.goes_on()
    teller.ends()
    seen = visit(window(scheme, size), f"{teller.url}#freeze=storage:down")
    seen.page.locator("html[data-frozen]").wait_for(state="attached")
    assert seen.violations() == []
    assert seen.reaches_sideways() == []
    seen.page.get_by_role("button", name="Latest").click()
    seen.page.get_by_text("The story is over: the ledger does NOT hold").wait_for()
    assert seen.violations() == []
    assert seen.reaches_sideways() == []
    assert (seen.said, seen.strangers(teller.url.rstrip("/"))) == ([], [])


def test_the_page_follows_the_story_and_its_ledger(window: Window, teller: Teller) -> None:
    teller.begins()
    page = visit(window(), teller.url).page
    page.get_by_role("row", name="log storage ✗ down: 503 to everything 120 lines").wait_for()
    assert page.get_by_role("status").text_content() == "On purpose: the storage is down"
    assert page.get_by_role("row", name="✓ holds warcopier exit code of the first run 0").count() == 1
    assert page.locator("svg .bad .name").all_text_contents() == ["log storage"]
    teller.goes_on()
    page.get_by_role("row", name="log storage ● running 1,440 lines").wait_for()
    page.get_by_role("log").get_by_text("the storage is back").wait_for()
    assert page.locator("svg .bad").count() == 0
    teller.ends()
    page.get_by_role("row", name="✗ wrong app exit code 1 (expected 0)").wait_for()
    page.get_by_text("2 hold, 1 wrong").wait_for()


def test_a_page_that_is_paused_stays_at_its_moment_while_the_story_goes_on(window: Window, teller: Teller) -> None:
    teller.begins()
    page = visit(window(), teller.url).page
    page.get_by_text("log storage").first.wait_for()
    page.get_by_role("row", name="log storage ✗ down").wait_for()
    page.get_by_role("button", name="Pause").click()
    teller.goes_on()
    page.locator('#time[max="5.6"]').wait_for()  # it has heard
    assert page.locator("#clock").text_content() == "4.0 s"
    assert page.get_by_role("row", name="log storage ✗ down").count() == 1
    page.get_by_role("button", name="Latest").click()
    page.get_by_role("row", name="log storage ● running").wait_for()


def test_the_story_can_be_played_again_by_keyboard_after_the_demo_has_gone(window: Window, teller: Teller) -> None:
    page = visit(window(), teller.url).page
    teller.begins()
    teller.goes_on()
    teller.ends()
    page.get_by_text("The whole story is in this page").wait_for()
    teller.leave()
    page.get_by_role("slider").press("Home")
    assert page.locator("#clock").text_content() == "0.0 s"
    assert page.locator("#log p, #ledger tr").count() == 0
    page.get_by_role("button", name="Play").press("Enter")
    page.get_by_text("The story is over").wait_for()
    assert (page.locator("#log p").count(), page.locator("#ledger tr").count()) == (2, 3)
    page.get_by_role("button", name="Play again").wait_for()


def test_hostile_texts_are_shown_as_text_and_widen_nothing(window: Window, teller: Teller) -> None:
    journal = teller.journal
    teller.tell(0.1, lambda: journal.act("x", HOSTILE))
    teller.tell(0.2, lambda: journal.say(HOSTILE, HOSTILE))
    teller.tell(0.3, lambda: journal.became("app", "hangs", HOSTILE))
    teller.tell(0.4, lambda: journal.present("adapter", HOSTILE))
    teller.tell(0.5, lambda: teller.ledger.expect(HOSTILE, HOSTILE, HOSTILE, 0))
    seen = visit(window("light", NARROW), teller.url)
    seen.page.locator("#ledger tr").wait_for()
    for place in ("#act", "#log .who", "#log .what", "#ledger td >> nth=1"):
        text = seen.page.locator(place).first.text_content() or ""
        assert text.startswith("<script>document.title = 'forged'</script>&lt;\\u000d\\u000a"), place
        assert "\\u202egnp.exe\\u0000xxx" in text, place
        assert len(text) < 2000, place
    assert seen.page.title() == "One Pod, with faults on purpose"
    assert seen.page.locator("body script").count() == 1  # its own
    assert (seen.reaches_sideways(), seen.said) == ([], [])


def test_with_reduced_motion_nothing_flies_and_what_moves_is_still_marked(window: Window, teller: Teller) -> None:
    teller.begins()
    context = window()
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce")
    page.goto(teller.url)
    page.get_by_role("row", name="log storage ✗ down").wait_for()
    where = page.locator("svg .dot").evaluate_all("dots => dots.map(dot => dot.getAttribute('transform'))")
    assert where
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert where == page.locator("svg .dot").evaluate_all("dots => dots.map(dot => dot.getAttribute('transform'))")
