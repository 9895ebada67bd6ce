"""The HTML file of the page, read without a browser: its size, its policy, its form, and hostile names in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.page import document
from sidecars.chassis.page.picture import Column, Picture, Table, Words
from tests.support import ROOT, examples

PICTURE = Picture(
    Table(
        "Files",
        rows="files.*",
        key="path",
        columns=(Column("File", "path"), Column("State", "state", "state"), Column("Digest", "digest", "digest")),
        empty="No file is followed.",
    ),
    Words("Ledger", "ledger"),
)
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "<!--<script>",
    "]]>",
    "</noscript><img src=x onerror=alert(1)>",
    "&lt;b&gt;&amp;",
    "\"' onload='x",
    "@data@ @outline@",
    "\u202egnp.exe",
    "\x1b[2J\x00\r\n",
    "\u2028\ud800",
    "x" * 10_000,
]


def status(name: str = "app.log") -> dict[str, Any]:
    return {
        "name": "demo",
        "version": "0.1.0",
        "state": "not ready",
        "since": "2026-11-29T21:00:00Z",
        "since_seconds": 12.5,
        "reasons": [f"upstream: {name}"],
        "trouble": [{"code": "slow", "level": "error", "message": name, "count": 2, "age_seconds": 61}],
        "files": [{"path": name, "state": name, "digest": name}, {"path": "b", "state": "ready", "digest": "abc"}],
        "ledger": [name, "read = delivered"],
        "uptime_seconds": 1.5,
        "pid": 7,
        "confinement": {"landlock": name},
        "settings": {"DEMO_PATHS": name, "DEMO_UNSET": "", name: "1"},
    }


def html(picture: Picture | None = PICTURE, shown: dict[str, Any] | None = None) -> str:
    return document.html(picture, json.dumps(status() if shown is None else shown), "/").decode()


class Page(HTMLParser):
    """The page as a browser without a script sees it: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.blocks: dict[str, str] = {}
        self._block = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._block = str(dict(attrs).get("id", tag)) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser calls it
        self._block = ""

    def handle_data(self, data: str) -> None:
        if self._block:
            self.blocks[self._block] = self.blocks.get(self._block, "") + data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def pictures() -> list[Picture]:
    """Return the pictures of the sidecars that have one."""
    names = sorted(path.parent.name for path in (ROOT / "sidecars").glob("*/picture.py"))
    found: list[Picture] = [import_module(f"sidecars.{name}.picture").PICTURE for name in names if name != "chassis"]
    return [PICTURE, *found]


def test_the_file_of_the_chassis_has_at_most_12_kib_and_5_with_gzip() -> None:
    """HTML, style and script, as they are in every page that is sent."""
    file = document.template().encode()
    assert len(file) <= 12 * 1024
    assert len(gzip.compress(file, 9)) <= 5 * 1024


@pytest.mark.parametrize("picture", pictures())
def test_a_page_has_at_most_14_kib_without_what_the_status_says(picture: Picture) -> None:
    """The file of the chassis, the words of states, the picture, and what a page without a script says of no status."""
    assert len(html(picture, {}).encode()) <= 14 * 1024


def test_the_policy_allows_this_style_and_this_script_by_their_hashes_and_nothing_else() -> None:
    page = Page(html())
    policy = dict(part.split(" ", 1) for part in document.headers()["Content-Security-Policy"].split("; "))
    for name, block in (("style-src", "style"), ("script-src", "script")):
        digest = hashlib.sha256(page.blocks[block].encode()).digest()
        assert policy.pop(name) == f"'sha256-{base64.b64encode(digest).decode()}'"
    none = ("default-src", "img-src", "base-uri", "form-action", "frame-ancestors")
    assert policy == {"connect-src": "'self'", **dict.fromkeys(none, "'none'")}


def test_the_page_may_not_be_guessed_at_and_tells_nobody_where_it_was() -> None:
    headers = document.headers()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_script_puts_text_into_the_page_as_text_alone() -> None:
    script = (ROOT / "tools/page/script.js").read_text()
    ways = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|DOMParser|ContextualFragment|srcdoc"
    assert re.findall(ways, script) == []
    assert script.count(".textContent = ") >= 2


def test_no_element_loads_or_leads_to_another_place() -> None:
    page = Page(html())
    for _, attributes in page.elements:
        assert not set(attributes) & {"src", "srcset", "style", "action", "background", "data"}
        assert not [name for name in attributes if name.startswith("on")]
        assert re.fullmatch(r"[a-z]+(\?json)?", attributes.get("href") or "metrics")
    names = {tag for tag, _ in page.elements}
    assert not names & {"link", "base", "img", "iframe", "object", "embed", "form", "input", "meta http-equiv"}


def test_the_form_of_the_page_is_one_that_a_screen_reader_needs() -> None:
    page = Page(html())
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert len(page.all("caption")) == 1
    assert {th["scope"] for th in page.all("th")} == {"col", "row"}
    assert [attributes["id"] for _, attributes in page.elements if attributes.get("role") == "status"] == ["state"]


def test_without_a_script_the_page_shows_the_same_once() -> None:
    text = Page(html()).text
    parts = [
        "not ready since 2026-11-29 21:00:00 UTCupstream: app.log",
        "one.Trouble",
        "error slow, 2 times, 61 s ago: app.log",
    ]
    parts += ["FileStateDigest", "Ledgerapp.log", "Process", "DEMO_PATHS"]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)
    assert "✗ not ready" in text
    assert "✓ ready" in text
    assert "DEMO_UNSET" not in text


def test_a_table_without_rows_has_its_sentence() -> None:
    assert "No file is followed." in Page(html(shown={**status(), "files": []})).text


def test_a_long_table_says_that_it_is_cut() -> None:
    text = Page(html(shown={**status(), "files": [{"path": f"file{i}"} for i in range(301)]})).text
    assert "file299" in text
    assert "file300" not in text
    assert "Only the first 300 rows are shown" in text


def test_a_sidecar_without_a_picture_has_a_page() -> None:
    assert "not ready since" in Page(html(None)).text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_in_the_page_and_data_in_its_block(name: str) -> None:
    page, harmless = Page(html(shown=status(name))), Page(html())

    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert [attributes for _, attributes in page.elements] == [attributes for _, attributes in harmless.elements]
    assert page.blocks["script"] == harmless.blocks["script"]
    assert "<" not in page.blocks["data"]
    assert json.loads(page.blocks["data"])["status"] == status(name)
    assert page.text.replace("\n", "").isprintable()
    if name.isprintable() and len(name) < 300:
        assert f"upstream: {name}" in page.text


@examples(60)
@given(st.text(alphabet=st.sampled_from("</script>!-@data&;\"' \u202e\x00é")))
def test_no_name_at_all_becomes_an_element(name: str) -> None:
    page, harmless = Page(html(shown=status(f"x{name}"))), Page(html())
    assert page.elements == harmless.elements
    assert json.loads(page.blocks["data"])["status"] == status(f"x{name}")


@pytest.mark.processes
def test_a_text_browser_shows_the_page(tmp_path: Any) -> None:
    shown = subprocess.run(
        ["w3m", "-dump", "-T", "text/html", "-I", "utf-8", "-O", "utf-8", "-cols", "100"],
        input=html(shown=status("</script><script>alert(1)</script>")).encode(),
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    words = " ".join(shown.split())
    assert "✗ not ready since 2026-11-29 21:00:00 UTC upstream: </script><script>alert(1)</script>" in words
    assert any(line.startswith("Files") for line in lines)
    assert any(line.startswith("b ✓ ready abc") for line in lines)
    assert not any("const" in line or "{" in line for line in lines)
