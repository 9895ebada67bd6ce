from __future__ import annotations

from pathlib import Path

import pytest

from sidecars.ambassador.http.header_edits import BearerToken, combine_edits, edits
from sidecars.ambassador.http.request_head import RequestParser
from sidecars.chassis.config.setting_types import Secret
from tests.ambassador.support import Ambassador, answering, backends
from tests.conftest import Start
from tests.support import wait_until


def sent(headers: str, *fields: bytes, token: bool = False) -> bytes:
    judge = RequestParser((), combine_edits(edits.parse(headers), token=token))
    head = b"\r\n".join((b"GET / HTTP/1.1", b"Host: a", *fields))
    return judge.parse(head, len(head)).head(b"orders")


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


def test_a_token_is_read_again_and_a_bad_one_leaves_the_earlier_in_force(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first.token==\n")
    token = BearerToken(Secret(file.read_text), "AMBASSADOR_TOKEN")
    seen = []
    for now, text in enumerate(["first.token==\n", "second", "two words", "a\r\nX: b", "", None, "third"]):
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        token.refresh(float(now))
        seen.append(token.line.removeprefix(b"\r\nAuthorization: Bearer ").decode())
    assert seen == ["first.token==", *["second"] * 5, "third"]


def test_the_upstream_sees_the_fields_the_token_and_the_host_that_were_set(start: Start, tmp_path: Path) -> None:
    seen: list[bytes] = []
    file = tmp_path / "token"
    file.write_text("first")
    with backends(answering(seen=seen)) as (backend,):
        ambassador = Ambassador(
            start, backend.url, HEADERS="X-Team: shop\n-X-Debug", HOST="preserve", TOKEN_FILE=str(file)
        )
        request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Debug: 1\r\nAuthorization: Basic abc\r\n\r\n"
        assert ambassador.ask(request)[0] == 200
        assert seen.pop() == (
            b"GET / HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer first\r\nX-Team: shop\r\n"
            b"Via: 1.1 ambassador\r\n\r\n"
        )
        file.write_text("second")
        wait_until(lambda: ambassador.ask(request) and b"Bearer second\r\n" in seen.pop(), "the new token upstream")
        assert "first" not in ambassador.program.stderr


def test_a_token_that_is_none_ends_it_with_78_and_is_not_shown(start: Start) -> None:
    program = start("ambassador", AMBASSADOR_UPSTREAM="http://orders", AMBASSADOR_TOKEN="not hidden")
    assert program.wait() == 78
    assert "AMBASSADOR_TOKEN: it holds no bearer token" in program.stderr
    assert "not hidden" not in program.stderr
