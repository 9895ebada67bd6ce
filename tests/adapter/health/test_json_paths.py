"""The grammar of ADAPTER_SELECT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.health.json_paths import format_json_paths, parse_json_paths


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("x", 1),
        ("x=queue", 1),
        ("1x=$.a", 1),
        ("x=$.a[", 6),
        ("x=$.a[b]", 6),
        ("x=$..a", 4),
        ("x=$.a y=$.b", 7),
        ("x=$.a; x=$.b", 8),
        ("x=$.a[?(@.b>1)]", 6),
        ("x=$.a[?(@.b==007)]", 6),
        ("x=$.a[\u0663]", 6),
        ("x=$.a; health_http_status_code=$.b", 8),
        ("x=$" + ".a" * 51, 4),
    ],
)
def test_a_mistake_is_told_with_its_column_and_a_caret(text: str, column: int) -> None:
    with pytest.raises(ValueError, match=f"line 1, column {column}: ") as caught:
        parse_json_paths(text)

    *_, source, caret = str(caught.value).split("\n")
    assert caret == f"  {' ' * (column - 1)}^"
    assert source.removeprefix("  ").rstrip("…") in text


@pytest.mark.parametrize("text", ["", " ", ";"])
def test_nothing_is_no_selection(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected name=\$\.path"):
        parse_json_paths(text)


def test_what_is_shown_means_the_same() -> None:
    json_paths = parse_json_paths("a=$.queue.depth\nb=$.disks[?(@.name=='x')].free")

    assert parse_json_paths(format_json_paths(json_paths)) == json_paths


@given(st.text(max_size=40))
def test_any_text_is_a_selection_or_a_mistake(text: str) -> None:
    try:
        json_paths = parse_json_paths(text)
    except ValueError:
        return
    assert parse_json_paths(format_json_paths(json_paths)) == json_paths
