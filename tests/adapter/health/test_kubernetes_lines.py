"""Health documents in text: Kubernetes' lines and single words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.health.kubernetes_lines import read_text


@pytest.mark.parametrize(
    ("text", "http_status", "status"),
    [
        ("ok", 200, "pass"),
        ("OK\n", 200, "pass"),
        ("Healthy.", 200, "pass"),
        ("unhealthy", 503, "fail"),
        ("ok", 503, "fail"),
        ("[+]ping ok\n[+]etcd ok\nhealthz check passed\n", 200, "pass"),
        ("[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed\n", 500, "fail"),
        ("[+]ping excluded: ok\nwarn: some health checks cannot be excluded\n", 200, "pass"),
        ("[+]ping ok\r\nhealthz check passed\r\n", 200, "pass"),
        ("[+]ping ok\n[+]queue ok (warning: is long)\nhealthz check passed\n", 200, "warn"),
        ("healthz check passed", 200, "pass"),
        ("[+]ping ok\nhealthz check passed\n", 503, "fail"),
    ],
)
def test_kubernetes_lines_and_single_words_are_read(text: str, http_status: int, status: str) -> None:
    health = read_text(text, http_status)

    assert health
    assert health.status == status
    if "etcd" in text:
        assert [part.name for part in health.components] == ["ping", "etcd"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[+]db ok\n  [-]cache failed\nreadyz check passed\n", 'the line "  [-]cache failed" is not understood'),
        ("[+]db ok\n\t[+]cache ok\nreadyz check passed\n", 'the line "\\t[+]cache ok" is not understood'),
        ("[+]db ok\n[!]cache ok\nreadyz check passed\n", 'the line "[!]cache ok" is not understood'),
        ("[+]db ok\n[ ]cache ok\n", 'the line "[ ]cache ok" is not understood'),
        ("[!]cache ok\n", 'the line "[!]cache ok" is not understood'),
        ("[+]db ok\n[?]cache", 'the line "[?]cache" is not understood'),
        ("[+]db ok\nreadyz check failed\n", "readyz check failed"),
        ("[+]db ok\nlivez check failed", "livez check failed"),
        ("readyz check failed", "readyz check failed"),
        ("[+]db ok\nreadyz check pending", "readyz check pending"),
        ("[+]db failed: no connection", 'the line "[+]db failed: no connection" is not understood'),
        ("[+]db failed, cache ok", "is not understood"),
        ("[+]db ok but slow", "is not understood"),
        ("[+]db ok[-]cache failed", "is not understood"),
        ("[+]db ok\x0b[-]cache failed", "is not understood"),
        ("[+]db", "is not understood"),
        ("[+]db ok\nTraceback (most recent call last):\n", "is not understood"),
        ("[+]db ok\n[-]", "is not understood"),
        ("[+]x check passed", "is not understood"),
        ("  [+]db ok", "is not understood"),
    ],
)
def test_whatever_is_not_kubernetes_grammar_of_success_fails_and_says_which_line(text: str, told: str) -> None:
    health = read_text(text, 200)

    assert health
    assert health.status == "fail"
    assert any(part.status == "fail" and told in part.reason for part in health.components)
    assert ("not understood" in health.problem) == ("not understood" in told)


LINES = st.sampled_from(
    [
        "[+]a ok",
        "[+]b excluded: ok",
        "warn: note",
        "readyz check passed",
        "ok",
        "",
        "[-]c failed: why",
        "[!]d",
        " [+]e ok",
    ]
)


@given(st.lists(LINES, min_size=1, max_size=6).map("\n".join))
def test_lines_are_a_pass_only_if_each_of_them_is(text: str) -> None:
    health = read_text(text, 200)

    if health and health.up:
        assert not any(bad in text for bad in ("[-]", "[!]", " [+]"))


@pytest.mark.parametrize("text", ["", "up 1\n", "# TYPE up gauge\nup 1\n", "hello", "a\nb\n", "<html>"])
def test_other_text_is_no_health_document(text: str) -> None:
    assert read_text(text, 200) is None
