"""The page of each sidecar at one moment: nothing for axe to find, no message, no request elsewhere, no wide content.

The sidecars show hostile names all the time, as `pod` has them, so all of this holds with them.
"""

from __future__ import annotations

import pytest

from tests.browser.conftest import NARROW, Pod, Window
from tests.browser.pod import LONG, MARKUP, SIDECARS
from tests.browser.visits import SCHEMES, Visit, visit

VISIBLE_OVERRIDE = "\\u202eraw.exe"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", SIDECARS)
def test_axe_finds_nothing_and_the_page_says_and_asks_nothing_unusual(
    pod: Pod, window: Window, name: str, scheme: str
) -> None:
    seen = visit(window(scheme), pod[name].url)
    seen.unfold()
    seen.shown("Settings")
    assert seen.violations() == []
    assert seen.said == []
    assert seen.strangers(pod[name].origin) == []


@pytest.mark.parametrize("name", SIDECARS)
def test_a_window_of_320_pixels_need_not_be_scrolled_sideways(pod: Pod, window: Window, name: str) -> None:
    seen = visit(window(size=NARROW), pod[name].url)
    seen.unfold()
    assert seen.reaches_sideways() == []
    assert seen.violations() == []


@pytest.mark.parametrize("name", SIDECARS)
def test_a_hostile_text_is_shown_as_text(pod: Pod, window: Window, name: str) -> None:
    seen = visit(window(), pod[name].url)
    seen.unfold()
    _are_text(seen)


@pytest.mark.parametrize("name", SIDECARS)
def test_without_scripts_the_page_has_the_same_texts_once(pod: Pod, window: Window, name: str) -> None:
    seen = visit(window(javascript=False), pod[name].url)
    seen.unfold()
    seen.shown("Without a script")
    _are_text(seen)
    assert seen.reaches_sideways() == []
    assert seen.said == []


def _are_text(seen: Visit) -> None:
    seen.shown(MARKUP)
    seen.shown(VISIBLE_OVERRIDE)
    seen.shown(LONG[:100])
    assert seen.page.locator("[data-planted]").count() == 0
    assert "planted" not in seen.page.title()
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in seen.page.locator("html").inner_html()
