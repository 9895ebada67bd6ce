from __future__ import annotations

import pytest

from sidecars.ambassador.http.header_edits import combine_edits, edits
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import SettingsError, load


def sent(headers: str, *fields: bytes, token: bool = False) -> bytes:
    parser = RequestParser((), combine_edits(edits.parse(headers), (b"authorization",) if token else ()))
    head = b"\r\n".join((b"GET / HTTP/1.1", b"Host: a", *fields))
    return parser.parse(head, len(head)).head(b"orders")


@pytest.mark.parametrize(
    ("headers", "fields", "expected"),
    [
        ("X-Team: shop", [b"x-team: other", b"X-Team: third"], [b"X-Team: shop"]),
        ("+X-Team: shop", [b"X-Team: other"], [b"X-Team: other", b"X-Team: shop"]),
        ("-X-Debug", [b"x-debug: 1", b"X-Kept: 1"], [b"X-Kept: 1"]),
        ("X-A: 1\n-X-B\n\n+X-C: a, b; c=d", [b"X-B: 1"], [b"X-A: 1", b"X-C: a, b; c=d"]),
        ("X-Empty:", [], [b"X-Empty: "]),
    ],
)
def test_fields_are_set_added_and_removed(headers: str, fields: list[bytes], expected: list[bytes]) -> None:
    head = sent(headers, *fields)
    assert head == b"\r\n".join((b"GET / HTTP/1.1", b"Host: orders", *expected, b"Via: 1.1 ambassador", b"", b""))


@pytest.mark.parametrize(
    "headers", ["X", "-X: 1", "X Y: 1", ": 1", "Host: a", "-Content-Length", "+Transfer-Encoding: chunked", "Via: x"]
)
def test_an_edit_that_means_nothing_or_would_break_a_message_is_refused(headers: str) -> None:
    with pytest.raises(ValueError, match="expected one edit a line"):
        edits.parse(headers)


def test_the_value_of_an_edit_is_never_shown() -> None:
    assert edits.show(edits.parse("X-Key: hidden\n+X-More: hidden\n-X-Less")) == "X-Key: *** | +X-More: *** | -X-Less"


def test_with_a_token_the_apps_own_credentials_go_no_further() -> None:
    assert b"hidden" not in sent("X: 1", b"Authorization: Basic hidden", token=True)
    assert b"hidden" in sent("X: 1", b"Authorization: Basic hidden")


@pytest.mark.parametrize(
    "wrong",
    ["X-Key hunter2", "Authorization Bearer hunter2", "hunter2", "-X-Key: hunter2", "Host: hunter2", "X: \x01hunter2"],
)
def test_a_wrong_line_is_told_by_its_number_and_not_by_its_text(wrong: str) -> None:
    environ = {"AMBASSADOR_UPSTREAM": "http://a", "AMBASSADOR_HEADERS": f"X-Good: hunter2\n\n{wrong}\n"}
    with pytest.raises(SettingsError) as caught:
        load(Settings, environ)

    assert str(caught.value).startswith("AMBASSADOR_HEADERS=***: line 3: expected one edit a line")
    assert "hunter2" not in str(caught.value)


def test_an_edit_as_text_has_no_value() -> None:
    (edit,) = edits.parse("X-Key: hunter2")

    assert "hunter2" not in f"{edit} {edit!r} {[edit]}"
    assert edit.value.reveal() == "hunter2"
