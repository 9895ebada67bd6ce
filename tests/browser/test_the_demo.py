"""The page of a real demo, from its first event to its last. `test_demo_page` tells stories of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import NARROW, WIDE, Window, opened
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


def test_without_scripts_the_page_says_where_the_story_is_told_in_words(
    performed: dict[str, Visit], window: Window
) -> None:
    seen = visit(window(javascript=False), performed["light"].page.url)
    seen.shown_without_scripts("The terminal shows the same story in words")
