"""Parsers of texts to fields, compared with simple ones that are written in another way."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.parsing import parsers

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


def quoted_end(text: str, at: int) -> int:
    """Return the index behind the quotation mark that ends the text in quotation marks at `at`; 0 if there is none."""
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1 if at < len(text) else 0


def reference_pair(word: str) -> tuple[str, Any, int] | None:
    """Parse the pair with which a text begins, character by character: key, value, length."""
    at = 0
    while at < len(word) and not word[at].isspace() and word[at] not in '="':
        at += 1
    key, value = word[:at], cast(Any, True)
    if not key:
        return None
    if word[at : at + 1] == "=":
        start = at = at + 1
        if word[at : at + 1] == '"':
            at = quoted_end(word, at)
            if not at:
                return None
            value = word[start + 1 : at - 1]
            with contextlib.suppress(ValueError):
                value = json.loads(word[start:at])
        else:
            while at < len(word) and not word[at].isspace():
                end = quoted_end(word, at) if word[at] == '"' else at + 1
                if not end:
                    return None
                at = end
            value = word[start:at]
    return (key, value, at) if at == len(word) or word[at].isspace() else None


def reference_logfmt(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    paired, rest, bad = False, text.strip(), []
    while rest:
        pair = reference_pair(rest)
        if pair is None:
            bad.append(rest.split()[0])
            rest = rest[len(bad[-1]) :].lstrip()
            continue
        key, value, length = pair
        fields[key] = value
        paired = paired or value is not True
        rest = rest[length:].lstrip()
    if not paired:
        return unparsed("logfmt", text)
    return {**fields, "parse_error": "logfmt", "unparsed": " ".join(bad)} if bad else fields


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


def test_a_text_with_many_bad_words_is_not_read_to_its_end() -> None:
    (fields,) = parsers.parse_logfmt(["a=1 " + '="\\" ' * 30 + "b=2"])
    assert list(fields) == ["a", "parse_error", "unparsed"]
    assert fields["unparsed"].split() == ['="\\"'] * 30 + ["b=2"], "nothing is lost"


def test_fields_of_the_app_keep_their_names_beside_what_could_not_be_read() -> None:
    (fields,) = parsers.parse_logfmt(["unparsed=1 parse_error=2 =x"])
    assert fields == {"unparsed": "1", "parse_error": "2", "unparsed_": "=x"}


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
