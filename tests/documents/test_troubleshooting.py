"""The tool that compares the codes of the sources with docs/troubleshooting.md. `tests/repo` runs it on both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.documents import codes, troubleshooting

PAGE = """# Troubleshooting

| 74 | I/O failed | old |

## Codes

### it-fails

> it fails

- **Cause**: a
- **Confirm**: b
- **Fix**: c
- **Why**: d

<!-- codes: end -->

## Alerts
"""


def test_a_code_without_an_entry_an_entry_without_a_code_and_a_stale_sentence_are_found() -> None:
    found = troubleshooting.faults(PAGE.replace("### it-fails", "### it-failed"), {"it-fails": ["it fails"]})
    assert "it-fails: no heading in troubleshooting.md" in found
    assert "it-failed: no source has this code" in found
    assert any("stale" in one for one in troubleshooting.faults(PAGE, {"it-fails": ["it fails badly"]}))
    assert "it-fails: needs Cause, Confirm, Fix, Why" in troubleshooting.faults(
        PAGE.replace("- **Fix**: c\n", ""), {"it-fails": ["it fails"]}
    )


def test_what_is_written_by_hand_stays_when_the_page_is_rendered_anew() -> None:
    page = troubleshooting.rendered(PAGE, {"it-fails": ["it fails badly", "so does this"]})
    assert "> it fails badly\n>\n> so does this\n\n- **Cause**: a\n" in page
    assert page.endswith("<!-- codes: end -->\n\n## Alerts\n")
    assert troubleshooting.rendered(page, {"it-fails": ["it fails badly", "so does this"]}) == page


def test_the_codes_are_sorted_and_listed_by_sidecar() -> None:
    second = "### a-fault\n\n- **Cause**: e\n- **Confirm**: f\n- **Fix**: g\n- **Why**: h\n\n<!-- codes: end -->"
    listed = "## Codes\n\n<!-- list: rendered by `make docs` -->\n\nold\n\n<!-- list: end -->\n"
    page = PAGE.replace("<!-- codes: end -->", second).replace("## Codes\n", listed)
    found = {"a-fault": [], "it-fails": ["it fails"]}
    assert troubleshooting.faults(page, found) == ["troubleshooting.md is stale: run make docs"]
    page = troubleshooting.rendered(page, found)
    assert troubleshooting.faults(page, found) == []
    assert page.index("### a-fault") < page.index("### it-fails")
    assert "\nold\n" not in page
    assert re.search(r"^\| ambassador \| .*\[endpoint-ejected\]\(#endpoint-ejected\)", page, re.MULTILINE)


def test_codes_are_read_in_every_form_in_which_they_are_written(tmp_path: Path) -> None:
    source = """
ONE = {A: "first-code", B: "second-code"}
TWO = {A: "the first", B: "the second"}
log.warning(f"the {file} is odd", code="odd-file", file=file)
log.error(TWO[x], code=ONE[x])
code = "kept" if letters else "dropped"
message = "it is kept" if letters else "it is dropped"
log.error(message, code=code)
raise IOFailed(failure.reason, code=failure.code)
fields = {"code": "a-library"}
"""
    (tmp_path / "some.py").write_text(source)
    assert codes.find(tmp_path) == {
        "a-library": [],
        "dropped": ["it is dropped"],
        "first-code": ["the first"],
        "kept": ["it is kept"],
        "odd-file": ["the … is odd"],
        "second-code": ["the second"],
    }


def test_a_code_that_is_computed_is_refused_since_nobody_could_look_it_up(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text('log.error("it fails", code=make_code())')
    with pytest.raises(codes.NotAText):
        codes.find(tmp_path)
