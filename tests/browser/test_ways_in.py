"""The ways to a page: below a path prefix, by the keyboard, and under names that a stranger could have chosen."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from tests.browser.conftest import Pod, Window
from tests.browser.pod import SIDECARS
from tests.browser.prefixed import prefixed
from tests.browser.visits import visit

FOCUSABLE = "a[href], button, summary, input, select, [tabindex]"
ORDER = """selector => [...document.querySelectorAll(selector)].filter(element => element.checkVisibility())
    .map(element => element.textContent.trim())"""
FOCUSED = """() => {
    const element = document.activeElement, style = getComputedStyle(element);
    return [element.textContent.trim(), style.outlineStyle != "none" && parseFloat(style.outlineWidth) > 0];
}"""


def test_a_page_works_below_a_path_prefix(pod: Pod, window: Window) -> None:
    with prefixed(pod["adapter"].origin) as (url, strays):
        seen = visit(window(), url)
        seen.shown(pod["adapter"].change(4))
        links = seen.page.locator("nav a[href]").evaluate_all("all => all.map(one => one.href)")
        assert links
        for link in links:
            assert link.startswith(url)
            assert seen.page.request.get(urljoin(url, link)).status in (200, 503)
        assert strays == []
        assert seen.said == []


@pytest.mark.parametrize("name", SIDECARS)
def test_the_keyboard_reaches_everything_in_the_order_in_which_it_is_read(pod: Pod, window: Window, name: str) -> None:
    seen = visit(window(), pod[name].url)
    seen.shown("Siblings")  # they come last, and may have links
    expected = seen.page.evaluate(ORDER, FOCUSABLE)
    reached = []
    for _ in expected:
        seen.page.keyboard.press("Tab")
        what, is_visible = seen.page.evaluate(FOCUSED)
        assert is_visible, what
        reached.append(what)
    assert reached == expected != []
