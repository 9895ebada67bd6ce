"""All matches of a regex in one text: those of `finditer`, in linear time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecars.logshipper.transform.patterns import linear_regex
from sidecars.logshipper.transform.patterns.linear_regex import compile_re2, matches
from sidecars.logshipper.transform.redaction.redactor import Redactor
from tests.growth import Case, require_linear

_PATTERNS = [
    *(
        "a",
        "ab",
        "^a",
        "a$",
        r"a\b",
        r"a\B",
        r"\ba",
        r"\Ba",
        r"(a)|b",
        "ü",
        "[^;]",
        "[^;]*",
        "[^;]+",
        "a[^;]*;|b",
        "a*?b",
    ),
    *(
        r"a[^;]*$|a",
        r"(a)(b[^1]*1)?",
        r"[ab]+\b|[^a]",
        r"(?:^|[^b])(a+)",
        "",
        r"\b",
        r"a|ab|abb",
        r"\n",
        r"a\s+b",
        "😀+",
    ),
]
_LONG_TEXTS = st.lists(st.sampled_from("ab;1 \nü😀"), max_size=40).map("".join)


def spans(pattern: str, data: bytes) -> list[tuple[tuple[int, int], ...]]:
    regex = compile_re2(pattern)
    return [tuple(found.span(group) for group in range(regex.groups + 1)) for found in matches(regex, data)]


def spans_of_finditer(pattern: str, data: bytes) -> list[tuple[tuple[int, int], ...]]:
    regex = compile_re2(pattern)
    return [tuple(found.span(group) for group in range(regex.groups + 1)) for found in regex.finditer(data)]


def few(patch: pytest.MonkeyPatch, whole: int, window: int) -> None:
    """Make the searches of a whole text few, and the windows small, so that a short text shows what happens then."""
    patch.setattr(linear_regex, "_WHOLE", whole)
    patch.setattr(linear_regex, "_WINDOW", window)


@pytest.mark.parametrize(
    ("pattern", "piece"),
    [
        ("token=[^;]*;|secret", "token=secret "),
        ("a[^;]*;|a", "a"),  # the end of each match might be the end of the text
        ("(a)[^;]*;|(a)", "a "),
        (r"a(?:[^;]*$)?", "aü"),
        ("[^;]{99}(?:[^#]*#)?", "a"),  # longer than a window, and might go on to the end of the text
        ("[^;]*", "a"),
        ("[^;]*|a", "ü;"),
        ("b*", "a"),
    ],
)
def test_all_matches_take_linear_time(pattern: str, piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, 4, 32)
    regex = compile_re2(pattern)
    require_linear(
        Case(
            pattern,
            lambda n: piece.encode() * n,
            lambda data: [found.span() for found in matches(regex, data)],
            least=1024,  # much more than a window
        )
    )


def test_redaction_by_own_regexes_takes_linear_time() -> None:
    redactor = Redactor("/token=[^;]*;|secret/")
    require_linear(Case("own regex", lambda n: "token=secret " * n, redactor.redact_text, least=4096))
    assert redactor.redact_text("token=secret " * 1000) == "token=[redacted] " * 1000


def test_the_rest_of_a_secret_is_sought_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, 4, 32)
    redactor = Redactor("/token=[^;]*;|secret/")
    require_linear(
        Case("before", lambda n: "token=secret " * n, lambda before: redactor.redact_rest(before, "x"), least=1024)
    )


@given(st.sampled_from(_PATTERNS), _LONG_TEXTS, st.sampled_from([1, 2, 7]))
def test_a_text_with_few_matches_has_those_of_finditer(pattern: str, text: str, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        few(patch, len(text.encode()) * 2 + 2, window)
        assert spans(pattern, text.encode()) == spans_of_finditer(pattern, text.encode())


@given(st.sampled_from(_PATTERNS), _LONG_TEXTS, st.sampled_from([1, 3]))
def test_windows_as_large_as_the_text_have_the_matches_of_finditer(pattern: str, text: str, whole: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        few(patch, whole, (len(text.encode()) + 2) // 2)
        assert list(_long(pattern, text.encode())) == spans_of_finditer(pattern, text.encode())


def _long(pattern: str, data: bytes) -> list[tuple[tuple[int, int], ...]]:
    """Return the matches as if the text were longer than a window."""
    regex = compile_re2(pattern)
    found = linear_regex._matches_of_a_long_text(regex, data)
    return [tuple(one.span(group) for group in range(regex.groups + 1)) for one in found]


@given(st.sampled_from(_PATTERNS), _LONG_TEXTS, st.sampled_from([1, 3]), st.sampled_from([1, 2, 3, 5, 8]))
@example("a[^;]*;|b", "b1111ab;", 1, 3)  # the window ends within a match
def test_small_windows_find_every_match_that_is_no_longer(pattern: str, text: str, whole: int, window: int) -> None:
    data = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        few(patch, whole, window)
        found = [one[0] for one in spans(pattern, data)]
    assert found == sorted(found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
    expected = [one[0] for one in spans_of_finditer(pattern, data)]
    if all(end - start <= window for start, end in expected):
        assert [span for span in found if span[0] < span[1]] == [span for span in expected if span[0] < span[1]]
    else:  # up to the first match that is longer than a window, all are the same
        at = next(index for index, (start, end) in enumerate(expected) if end - start > window)
        before = [span for span in expected[:at] if span[0] < span[1]]
        assert [span for span in found if span[0] < span[1]][: len(before)] == before


@given(st.sampled_from(["[^;]+", "[^;]*", "a[^;]*", "a[^;]*;?", "(?:a|[^;])+"]), _LONG_TEXTS, st.sampled_from([1, 3]))
def test_a_match_that_goes_on_without_a_gap_is_found_however_long_it_is(pattern: str, text: str, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        few(patch, 1, window)
        found = [one[0] for one in spans(pattern, text.encode())]
    expected = [one[0] for one in spans_of_finditer(pattern, text.encode())]
    assert [span for span in found if span[0] < span[1]] == [span for span in expected if span[0] < span[1]]


def test_a_long_match_behind_many_others_is_found_when_these_have_been_replaced() -> None:
    text = "secret " * 300 + "token=" + "x" * 10_000 + "; end"
    assert Redactor("/token=[^;]*;|secret/").redact_text(text) == "[redacted] " * 300 + "[redacted] end"


def test_the_limit_a_long_match_behind_many_others_is_not_found_if_a_shorter_one_begins_within_it() -> None:
    text = "secret " * 300 + "token=" + "x" * 10_000 + "secret" + "; end"
    clean = Redactor("/token=[^;]*;|secret/").redact_text(text)
    assert clean == "[redacted] " * 300 + "token=" + "x" * 10_000 + "[redacted]; end"
