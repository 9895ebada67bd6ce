"""The script of the page and the server's part without a script show the same values in the same words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidecars.chassis.page import document
from sidecars.chassis.page.picture import Column, Kind, Picture, Table
from tests.browser.conftest import Window
from tests.browser.visits import visit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Route

KINDS: tuple[Kind, ...] = ("text", "state", "count", "bytes", "seconds", "list", "digest")  # one status tells them
VALUES: dict[str, Any] = {
    "nothing": [None, "", [], {}, 0, 0.0, False],
    "numbers": [
        1,
        9.94,
        9.96,
        10.5,
        11.5,
        1023,
        1023.6,
        1024,
        1234567.8,
        5 * 1024**5,
        -3,
        -2048,
        1e-7,
        0.00099,
        0.974,
        0.5,
    ],
    "times": [1, 59.9, 119.9, 120, 7199, 7200, 172799, 172800, 1e8],
    "texts": [
        "a",
        "ready",
        "not ready",
        "ejected: 3",
        "half-open",
        "x" * 301,
        "a\nb\u202ec\u0000",
        "</script>&lt;",
        "é",
    ],
    "others": [True, ["a", None, "", 3, True], {"timeout": 3, "connect": 0, "b": "why"}, {"a": {"b": [1]}}, [[1, 2]]],
}
STATUS: dict[str, Any] = {
    "name": "demo",
    "version": "0.1.0",
    "state": "ready",
    "since": "2026-11-29T21:00:00Z",
    "since_seconds": 12.5,
    "reasons": [],
    "trouble": [],
    "uptime_seconds": 1.5,
    "settings": {"DEMO_PATHS": "/logs", "DEMO_UNSET": ""},
    "values": {name: [{"value": value} for value in values] for name, values in VALUES.items()},
}
PICTURE = Picture(
    Table(
        "Values",
        rows="values.*.*",
        columns=(Column("Name", "key:0"), Column("Number", "key:1"), *(Column(kind, "value", kind) for kind in KINDS)),
    )
)
CELLS = "tables => tables.map(table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent)))"


def tables(context: BrowserContext, selector: str) -> Any:
    """Return the texts of all cells of the tables in a page that is not asked again."""

    def answer(route: Route) -> None:
        if route.request.url.endswith("/"):
            route.fulfill(body=document.html(PICTURE, json.dumps(STATUS), "/"), headers=dict(document.headers()))
        else:
            route.abort()

    context.route("**/*", answer)
    seen = visit(context, "http://127.0.0.1:9/")
    return seen.page.locator(selector).evaluate_all(CELLS)


def test_both_show_each_value_in_the_same_words(window: Window) -> None:
    by_script = tables(window(), "main > section table, main > details table")
    by_server = tables(window(javascript=False), "noscript table")

    head, *shown = by_server[0]
    assert head == ["Name", "Number", *KINDS]
    assert len(shown) == sum(map(len, VALUES.values()))
    assert by_script == by_server
