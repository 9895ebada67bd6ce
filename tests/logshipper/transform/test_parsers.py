"""Parsers of texts to fields, compared with simple ones that are written in another way."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform import parsers

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def unparsed(form: str, text: str) -> dict[str, Any]:
    return {"message": text, "parse_error": form}


def reference_json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError, RecursionError):
        return unparsed("json", text)
    return (found or {"message": text}) if isinstance(found, dict) else unparsed("json", text)


@given(
    st.lists(
        _JSON.map(json.dumps) | st.sampled_from(['{"a":1},{"b":2}', '{"c":[1', "2]}", "{}", "", "{", "[1]"]), min_size=1
    )
)
def test_json_lines_are_read_as_python_reads_them_each_by_itself(texts: list[str]) -> None:
    assert parsers.parse_json(texts) == [reference_json(text) for text in texts]


def reference_logfmt(text: str) -> dict[str, Any]:  # noqa: C901 - a parser by hand has many branches
    """Parse a text character by character."""
    fields: dict[str, Any] = {}
    paired, at, text_ = False, 0, text.strip()
    while at < len(text_):
        key = ""
        while at < len(text_) and not text_[at].isspace() and text_[at] not in '="':
            key += text_[at]
            at += 1
        if not key:
            return unparsed("logfmt", text)
        value: Any = True
        if text_[at : at + 1] == "=":
            paired, value, at = True, "", at + 1
            if text_[at : at + 1] == '"':
                quoted = '"'
                at += 1
                while at < len(text_) and text_[at] != '"':
                    step = 2 if text_[at] == "\\" else 1
                    quoted += text_[at : at + step]
                    at += step
                if at >= len(text_):
                    return unparsed("logfmt", text)
                at += 1
                try:
                    value = json.loads(quoted + '"')
                except ValueError:
                    value = quoted[1:]
            else:
                while at < len(text_) and not text_[at].isspace() and text_[at] != '"':
                    value += text_[at]
                    at += 1
        if at < len(text_) and not text_[at].isspace():
            return unparsed("logfmt", text)
        while at < len(text_) and text_[at].isspace():
            at += 1
        fields[key] = value
    return fields if paired else unparsed("logfmt", text)


@given(
    st.lists(st.sampled_from([*'ab=" \\', "msg=", '"a b"', "level=info ", r"\"", r"\n", "é", "\t"]), max_size=12).map(
        "".join
    )
)
def test_logfmt_is_read_as_a_reader_by_characters_reads_it(text: str) -> None:
    assert parsers.parse_logfmt([text]) == [reference_logfmt(text)]


@pytest.mark.parametrize(
    "text", ["a" * 300_000 + '"', "a=" * 200_000, 'a="' + "b" * 300_000, "\\" * 300_000, "a " * 200_000 + '"']
)
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    (fields,) = parsers.parse_logfmt([text])
    assert fields


def test_logfmt_by_example() -> None:
    (fields,) = parsers.parse_logfmt(['at=info method=GET path=/x?a=b msg="it \\"works\\"" retry empty= t=5ms'])
    assert fields == {
        "at": "info", "method": "GET", "path": "/x?a=b", "msg": 'it "works"', "retry": True, "empty": "", "t": "5ms",
    }  # fmt: skip


@given(st.lists(st.text("ab [1]\n", max_size=12), min_size=1, max_size=5))
@pytest.mark.parametrize(
    "regex", [r"(?P<level>[a-b]+) \[(?P<n>1)?\](?P<message>.*)", r"(.*) (?P<last>.*)", r"(?P<x>a)|(?P<y>b)"]
)
def test_the_named_groups_of_the_first_line_are_the_fields(regex: str, texts: list[str]) -> None:
    parse = parsers.create_parser("regex", regex)
    assert parse is not None
    for text, fields in zip(texts, parse(texts), strict=True):
        first, newline, more = text.partition("\n")
        found = re.fullmatch(regex, first)
        if not found:
            assert fields == unparsed("regex", text)
            continue
        expected = {name: value for name, value in found.groupdict().items() if value is not None}
        expected["message"] = expected.get("message", "") + newline + more if "message" in found.groupdict() else text
        assert fields == expected


def test_lines_that_never_match_do_not_look_into_each_other() -> None:
    parse = parsers.create_parser("regex", r"\[(?P<thread>[^\]]*)\] (?P<message>.*)")
    assert parse is not None
    assert all(fields["parse_error"] == "regex" for fields in parse(["[" + "a" * 100] * 20_000))


@pytest.mark.parametrize(
    ("regex", "said"),
    [
        ("(.*)", "expected named groups"),
        ("(?P<a>.", "at character 1"),
        ("(?P<parse_error>.)", "cannot be called parse_error"),
    ],
)
def test_a_regex_without_fields_is_refused(regex: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parsers.create_parser("regex", regex)
