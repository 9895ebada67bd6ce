"""The tool that finds links and anchors that lead nowhere. `tests/repo` runs it on the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.documents import links


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Exit codes", "exit-codes"),
        ("`http://…`, `https://…`", "http-https"),
        ("Files that may not be read?", "files-that-may-not-be-read"),
        ("[A](b.md) & *b*: `C_D`", "a--b-c_d"),
        ("0.1.0 (unreleased)", "010-unreleased"),
        ("Größe", "größe"),
        ("address-in-use", "address-in-use"),
    ],
)
def test_an_anchor_is_that_of_github(heading: str, anchor: str) -> None:
    assert links.slug(heading) == anchor


def test_a_second_heading_of_one_text_has_a_number_and_code_is_no_heading() -> None:
    assert links.anchors('# A\n\n## B\n\n## B\n\n```sh\n# C\n```\n<a id="d"></a>\n') == {"a", "b", "b-1", "d"}


def test_links_are_found_in_each_form_and_not_in_code() -> None:
    text = """[a](x.md) ![b](y.png "title") [c]: d
[e]: z.md#f
`[no](no.md)` <!-- [no](no.md) --> <a href="w.md">w</a>
```
[no](no.md)
```
"""
    assert sorted(links.links(text)) == ["w.md", "x.md", "y.png", "z.md#f"]


def test_dead_links_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n")
    document = tmp_path / "b.md"
    document.write_text("# Two\n")

    def why(link: str) -> str:
        return links.fault(document, link, tmp_path)

    assert [why(link) for link in ("a.md", "a.md#one", "#two", "https://example.com/x", "mailto:a@b.de")] == [""] * 5
    assert why("c.md") == "no such file"
    assert why("a.md#two") == "no such anchor"
    assert why("#one") == "no such anchor"
    assert why("/a.md") == "begins with /"
    assert why("../outside.md") == "leads out of the repository"
