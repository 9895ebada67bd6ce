"""Debian's Chromium without a window, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = (
    "--disable-dev-shm-usage",  # the /dev/shm of a container may have 64 MiB
    "--disable-lcd-text",  # text without coloured edges: the same picture on every machine, and fewer colours
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing here may ask a name server
)


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Run the Chromium at that path while the context is open. Raises Error of Playwright if it does not start.

    Playwright runs it without its sandbox, which neither root nor a container could give it: it loads pages of this
    repository alone.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
