"""SHA256SUMS: each form is read, and anything else is refused with its line number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.warcopier.source.sha256sums import parse
from tests.warcopier.support import sha256

DIGEST = sha256(b"x")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("\n# made by the build\n\n", {}),
        (f"{DIGEST}  shop.war\n", {"shop.war": DIGEST}),
        (f"{DIGEST.upper()} *./shop.war", {"shop.war": DIGEST}),
        (f"{DIGEST}  shop.war\n{DIGEST}  shop.war\n", {"shop.war": DIGEST}),
        (f"{DIGEST}  a b  c.war\r\n", {"a b  c.war": DIGEST}),
        (f"SHA256 (shop (1).war) = {DIGEST}\n", {"shop (1).war": DIGEST}),
    ],
)
def test_each_form_is_understood(text: str, found: dict[str, str]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{DIGEST}", "line 1 is not a digest and a name"),
        (f"{DIGEST} shop.war", "line 1 is not a digest and a name"),
        (f"\n{DIGEST[1:]}  shop.war", "line 2 is not a digest and a name"),
        ("<html>404</html>", "line 1 is not a digest and a name"),
        ("SHA256 (shop.war)", "line 1 is not a digest and a name"),
        (f"{DIGEST}  shop.war\n{sha256(b'y')}  shop.war", "line 2 gives shop.war another digest"),
    ],
)
def test_what_is_none_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@given(st.text())
def test_whatever_is_in_it_the_answer_is_digests_or_a_reason(text: str) -> None:
    try:
        found = parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - the other outcome is as good
    else:
        assert all(len(digest) == 64 for digest in found.values())
