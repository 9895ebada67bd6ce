"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.printable import printable, truncate


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 漢字, 😀", "plain, größer, 漢字, 😀"),
        ("\x1b[2J", r"\u001b[2J"),
        ("bell \x07, delete \x7f, CSI \x9b", r"bell \u0007, delete \u007f, CSI \u009b"),
        ("\u202efdp.exe", r"\u202efdp.exe"),
        ("half \ud800", r"half \ud800"),
        ("tag \U000e0041", r"tag \udb40\udc41"),
        ("two\nlines", r"two\u000alines"),
    ],
)
def test_what_is_not_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_to_be_kept_stays() -> None:
    assert printable("two\nlines\x1b", keep="\n") == "two\nlines\\u001b"


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)))
def test_a_json_document_means_the_same(document: object) -> None:
    shown = printable(json.dumps(document, ensure_ascii=False))

    assert shown.isprintable()
    assert json.loads(shown) == document


def test_a_long_text_is_cut_and_says_so() -> None:
    assert truncate("123456", 6) == "123456"
    assert truncate("1234567", 6) == "12345…"
