"""One Chromium for all tests, and windows of it. Without it or its packages each test is skipped, with the reason.

In CI that is a failure. `make test-browser` installs the packages; Chromium is Debian's. Nothing of Playwright is
imported before the fixture `browser` is used, so that the reason can be said.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pod import SIDECARS, Neighbours, Sidecar, make
from tests.support import Program, peer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

WIDE, NARROW = (1200, 900), (320, 640)
Window = Callable[..., "BrowserContext"]
Pod = dict[str, Sidecar]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the garbage collector out of the making of a report.

    It would end forgotten greenlets of Playwright inside `ast.parse`, which CPython 3.11 takes for a fault of its own:
    "AST constructor recursion depth mismatch".
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = peer("chromium")
    if find_spec("playwright") is None:
        reason = "the packages of locks/browser.txt are not installed: make test-browser installs them"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from tools.screens.chromium import chromium  # noqa: PLC0415 - imports Playwright, which may be missing

    with chromium(executable) as running:
        yield running


def opened(
    browser: Browser, scheme: str = "light", size: tuple[int, int] = WIDE, *, javascript: bool = True
) -> BrowserContext:
    """Open a window that shares nothing with others. The caller closes it."""
    return browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=javascript,
    )


@pytest.fixture
def window(browser: Browser) -> Iterator[Window]:
    """Open windows, `window(scheme="dark", size=NARROW, javascript=False)`, which are closed after the test."""
    contexts: list[BrowserContext] = []

    def make(*arguments: Any, **named: Any) -> BrowserContext:
        contexts.append(opened(browser, *arguments, **named))
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The four sidecars, by their names. All tests look at the same ones."""
    app = Neighbours()
    with app.serving():
        made = {name: make(name, tmp_path_factory.mktemp(name), app) for name in SIDECARS}
        try:
            for sidecar in made.values():
                sidecar.begin()
            for sidecar in made.values():
                sidecar.ready()
            yield made
        finally:
            for sidecar in made.values():
                sidecar.end()


@pytest.fixture(scope="session", autouse=True)
def demo(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Program]:
    """A real demo. It begins before the first test, and plays while the others run; its page stays until the last.

    SIGINT ends it at any moment, with all of its processes.
    """
    program = Program(["-m", "demo", "--plain", "--stay"], {}, tmp_path_factory.mktemp("demo"))
    yield program
    program.signal(signal.SIGINT)
    program.wait()
