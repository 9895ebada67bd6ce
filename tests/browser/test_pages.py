"""The page of each sidecar at one moment: nothing for axe to find, no message, no request elsewhere, no wide content.

The sidecars show hostile names all the time, as `pod` has them, so all of this holds with them. Light pages are looked
at in a wide window, dark ones in one of 320 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import NARROW, WIDE, Pod, Window, opened
from tests.browser.pod import LONG, MARKUP, SIDECARS
from tests.browser.visits import Visit, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VISIBLE_OVERRIDE = "\\u202eraw.exe"
SIGHTS = [(name, *sight) for name in SIDECARS for sight in (("light", WIDE), ("dark", NARROW))]


@pytest.fixture(scope="module", params=SIGHTS, ids=[f"{name}-{scheme}" for name, scheme, _ in SIGHTS])
def seen(request: pytest.FixtureRequest, browser: Browser, pod: Pod) -> Iterator[Visit]:
    """The page with everything unfolded."""
    name, scheme, size = request.param
    context = opened(browser, scheme, size)
    visited = visit(context, pod[name].url)
    visited.unfold()
    yield visited
    context.close()


def test_a_hostile_text_is_shown_as_text(seen: Visit) -> None:
    _are_text(seen, seen.shown)


def test_axe_finds_nothing(seen: Visit) -> None:
    assert seen.violations() == []


def test_the_page_need_not_be_scrolled_sideways_at_any_width(seen: Visit) -> None:
    """Up to 72 em (1152 pixels) each row is a card, and above it a line of a table."""
    size = seen.page.viewport_size
    assert size
    for width in (320, 700, 1152, 1153, 1280, size["width"]):
        seen.page.set_viewport_size({"width": width, "height": size["height"]})
        assert (width, seen.reaches_sideways()) == (width, [])


def test_the_page_says_nothing_on_its_console_and_asks_its_own_sidecar_alone(seen: Visit) -> None:
    assert seen.said == []
    assert seen.strangers(seen.page.url.rstrip("/")) == []


@pytest.mark.parametrize("name", SIDECARS)
def test_without_scripts_the_page_has_the_same_texts_once(pod: Pod, window: Window, name: str) -> None:
    seen = visit(window(size=NARROW, javascript=False), pod[name].url)
    seen.unfold()
    seen.shown_without_scripts("Without a script")
    _are_text(seen, seen.shown_without_scripts)
    assert seen.reaches_sideways() == []
    assert seen.said == []


def _are_text(seen: Visit, shown: Callable[[str], None]) -> None:
    for text in (MARKUP, VISIBLE_OVERRIDE, LONG[:100]):
        shown(text)
    assert seen.page.locator("[data-planted]").count() == 0
    assert "planted" not in seen.page.title()
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in seen.page.locator("html").inner_html()
