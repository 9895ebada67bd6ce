"""The optional site: what becomes of links, and that no page loads anything from elsewhere. CI builds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT
from tools.documents import site

PAGE = ROOT / "docs" / "README.md"


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[a](faq.md#x)", "[a](faq.md#x)"),
        ("[a](../examples/tomcat)", "[a](../examples/tomcat/README.md)"),
        ("[a](../sidecars/chassis/probe.py)", "a"),
        ("[`a`](../deploy/kustomize)", "`a`"),
        ("[a](https://example.com)", "[a](https://example.com)"),
        ("[a](#b)", "[a](#b)"),
        ("```\n[a](x.py)\n```", "```\n[a](x.py)\n```"),
    ],
)
def test_a_link_is_one_that_the_site_can_follow_or_plain_text(link: str, becomes: str) -> None:
    assert site.rewritten(link, PAGE, set()) == becomes


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (r"| `a \| b` | c |", "| `a | b` | c |"),
        (r"| a \| b | `c` |", r"| a \| b | `c` |"),
        (r"`a \| b`", r"`a \| b`"),
        ("```\n| `a \\| b` |\n```", "```\n| `a \\| b` |\n```"),
    ],
)
def test_a_pipe_in_the_code_of_a_table_has_no_backslash_on_the_site(text: str, becomes: str) -> None:
    assert site.rewritten(text, PAGE, set()) == becomes


def test_a_picture_or_manifest_that_is_linked_to_comes_along() -> None:
    assets: set[Path] = set()
    assert site.rewritten("[a](tutorial/first-pod.yaml)", PAGE, assets) == "[a](tutorial/first-pod.yaml)"
    assert assets == {ROOT / "docs/tutorial/first-pod.yaml"}


def test_a_page_that_loads_something_from_another_server_is_found(tmp_path: Path) -> None:
    good, bad, worse = (tmp_path / name for name in ("a.html", "b.html", "c.html"))
    good.write_text('<a href="https://example.com">a</a><script src="assets/x.js"></script>')
    bad.write_text('<script async src="https://example.com/x.js"></script>')
    worse.write_text('<link rel="stylesheet" href="//example.com/x.css">')
    assert site.foreign(tmp_path) == [str(bad), str(worse)]
