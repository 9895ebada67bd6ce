"""The severities of levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model import severity


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("TRACE trace FINEST T 10", ("TRACE", 1, 7)),
        ("DEBUG debug Fine dbug D 20 7", ("DEBUG", 5, 7)),
        ("INFO Information I 30 6 [INFO] info:", ("INFO", 9, 6)),
        ("NOTICE 5", ("INFO", 10, 5)),
        ("WARN WARNING Wrn W 40 4", ("WARN", 13, 4)),
        ("ERROR SEVERE eror E 50 3 40000", ("ERROR", 17, 3)),
        ("FATAL CRITICAL panic F 60 2", ("FATAL", 21, 2)),
        ("alert 1", ("FATAL", 22, 1)),
        ("EMERG 0", ("FATAL", 24, 0)),
    ],
)
def test_the_words_and_numbers_of_apps_have_the_severity_that_they_mean(
    texts: str, expected: tuple[str, int, int]
) -> None:
    assert {text: severity.of(text) for text in texts.split()} == dict.fromkeys(texts.split(), expected)


@given(st.text())
def test_any_text_has_a_severity_even_if_nobody_knows_it(text: str) -> None:
    assert severity.of(text).syslog in range(8)
    assert severity.of("loud") == severity.UNKNOWN
