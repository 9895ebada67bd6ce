"""A page that stays open: it is refreshed, and neither the refresh nor the end of the sidecar takes anything away."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Pod, Window
from tests.browser.pod import SIDECARS
from tests.browser.visits import Visit, visit

LOW = (1200, 300)
MINUTE = 60_000  # milliseconds of the page's clock
SELECT = "() => { getSelection().selectAllChildren(document.querySelector('main h2')); return '' + getSelection() }"
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    Object.defineProperty(document, "visibilityState", {configurable: true, get: () => hidden ? "hidden" : "visible"});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.parametrize("name", SIDECARS)
def test_a_change_is_shown_without_a_reload(pod: Pod, window: Window, name: str) -> None:
    """Two seconds apart are the refreshes of a page, so it comes within three; here it may take as long as it likes."""
    seen = visit(window(), pod[name].url)
    seen.unfold()
    seen.shown(pod[name].change(1))
    assert [url for url in seen.requests if url == pod[name].url] == [pod[name].url]


def test_scroll_selection_and_what_is_open_stay_over_refreshes(pod: Pod, window: Window) -> None:
    seen = visit(window(size=LOW), pod["logshipper"].url)
    seen.unfold()
    selected = seen.page.evaluate(SELECT)
    seen.page.evaluate("scrollTo(0, 200)")
    opened = seen.page.locator("details[open]").count()
    seen.shown(pod["logshipper"].change(2))
    assert seen.page.evaluate("scrollY") == 200
    assert seen.page.evaluate("'' + getSelection()") == selected != ""
    assert seen.page.locator("details[open]").count() == opened > 0


def test_a_reload_keeps_the_position(pod: Pod, window: Window) -> None:
    seen = visit(window(size=LOW), pod["logshipper"].url)
    seen.page.evaluate("scrollTo(0, 150)")
    seen.page.reload()
    assert seen.page.evaluate("scrollY") == 150


def test_a_page_outlives_its_sidecar_says_so_and_goes_on(pod: Pod, window: Window) -> None:
    sidecar = pod["adapter"]
    seen = visit(window(), sidecar.url)
    sidecar.end()
    seen.shown("no answer since")
    sidecar.begin()
    sidecar.ready()
    seen.page.get_by_text("no answer since").wait_for(state="detached")
    seen.shown(sidecar.change(3))
    assert [said for said in seen.said if "ERR_CONNECTION_REFUSED" not in said] == []


def test_a_hidden_page_asks_for_nothing_until_it_is_seen_again(pod: Pod, window: Window) -> None:
    seen = visit(window(), pod["warcopier"].url, clock=True)
    _asks_again(seen)
    seen.page.evaluate(HIDE, True)
    before = _asked_at_rest(seen)
    seen.page.clock.run_for(MINUTE)
    assert seen.asked == before
    seen.page.evaluate(HIDE, False)
    _asks_again(seen)


def test_a_paused_page_asks_for_nothing_until_it_goes_on(pod: Pod, window: Window) -> None:
    seen = visit(window(), pod["warcopier"].url, clock=True)
    _asks_again(seen)
    seen.page.get_by_role("button", name="Pause").click()
    before = _asked_at_rest(seen)
    seen.page.clock.run_for(MINUTE)
    assert seen.asked == before
    seen.page.get_by_role("button").click()
    _asks_again(seen)


def _asks_again(seen: Visit) -> None:
    with seen.page.expect_request_finished():
        seen.page.clock.run_for(10_000)


def _asked_at_rest(seen: Visit) -> int:
    """Return the number of requests once no response is on its way."""
    seen.page.wait_for_load_state("networkidle")
    return seen.asked
