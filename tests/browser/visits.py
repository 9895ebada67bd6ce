"""A page in Debian's Chromium as a test sees it: what it shows, says and asks for, and what axe finds in it.

The page's Content-Security-Policy stays in force: axe comes in through the debugger (`Runtime.evaluate`), and waiting
is left to locators, since Playwright's `wait_for_function` would need `unsafe-eval`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

MILLISECONDS = PATIENCE * 1000
# All rules that are on by default, and the size of targets (WCAG 2.2), which is not.
_RUN = 'axe.run(document, {rules: {"target-size": {enabled: true}}})'
_COUNTED = (
    "globalThis.asked = 0; const really = fetch; globalThis.fetch = (...all) => { asked++; return really(...all) }"
)


@dataclass(slots=True)
class Visit:
    """A page that is open: with the URLs that it asked for (`requests`) and the lines of its console (`said`)."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """The number of its calls of `fetch` so far."""
        number: int = self.page.evaluate("asked")
        return number

    def shown(self, text: str) -> None:
        """Wait until the text can be seen somewhere on the page."""
        self.page.get_by_text(text).filter(visible=True).first.wait_for()

    def shown_without_scripts(self, text: str) -> None:
        """Wait until the text can be seen in what stands there for browsers without scripts.

        `get_by_text` leaves out `noscript`, whatever the browser does.
        """
        self.page.locator("noscript *").filter(has_text=text, visible=True).first.wait_for()

    def unfold(self) -> None:
        """Open everything that is folded."""
        while (folded := self.page.locator("details:not([open]) > summary")).count():
            folded.first.click()

    def strangers(self, origin: str) -> list[str]:
        """Return the URLs that it asked for elsewhere than at this origin."""
        return [url for url in self.requests if "{0.scheme}://{0.netloc}".format(urlsplit(url)) != origin]

    def reaches_sideways(self) -> list[str]:
        """Return what makes the page wider than its window, as HTML tags; nothing if it is not wider."""
        found: list[str] = self.page.evaluate(
            """() => {
                const root = document.documentElement, width = root.clientWidth;
                if (root.scrollWidth <= width && document.body.scrollWidth <= width) return [];
                const wide = [...document.body.querySelectorAll("*")].filter(
                    element => element.getBoundingClientRect().right > width + 1);
                return ["the page", ...wide.map(element => element.cloneNode(false).outerHTML.slice(0, 200))];
            }"""
        )
        return found

    def violations(self) -> list[str]:
        """Return what axe finds: the rule, what is wrong, and the element."""
        devtools = self.page.context.new_cdp_session(self.page)
        try:
            axe = (files("axe_playwright_python") / "axe.min.js").read_text()
            _evaluated(devtools.send("Runtime.evaluate", {"expression": axe}))
            how = {"expression": _RUN, "awaitPromise": True, "returnByValue": True}
            result = _evaluated(devtools.send("Runtime.evaluate", how))
        finally:
            devtools.detach()
        assert result["passes"], "axe has looked at nothing"
        return [
            f"{found['id']}: {found['help']}: {node['html'][:200]} {node['failureSummary']}"
            for found in result["violations"]
            for node in found["nodes"]
        ]


def _evaluated(answer: dict[str, Any]) -> Any:
    """Return the value of an evaluated expression. Raises AssertionError with its exception."""
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")


def visit(context: BrowserContext, url: str, *, clock: bool = False) -> Visit:
    """Open the URL in a tab of its own. With `clock` its timers are those of `page.clock`, which a test can run on."""
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    page.add_init_script(_COUNTED)
    if clock:
        page.clock.install()
    seen = Visit(page)

    def asked(request: Request) -> None:
        seen.requests.append(request.url)

    def spoken(message: ConsoleMessage) -> None:
        seen.said.append(f"{message.type}: {message.text}")

    def failed(error: Exception) -> None:
        seen.said.append(f"uncaught: {error}")

    page.on("request", asked)
    page.on("console", spoken)
    page.on("pageerror", failed)
    page.goto(url, wait_until="load")
    return seen
