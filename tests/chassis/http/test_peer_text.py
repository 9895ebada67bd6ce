"""A receiver's text as it is shown: short, printable, without quoted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.setting_types import fixed_secret
from sidecars.chassis.http.peer_text import MAX_LENGTH, error_message, sanitized
from sidecars.chassis.runtime import logs, scrubber
from sidecars.chassis.runtime.scrubber import Net


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("  unknown\n\tfield ", "unknown field"),
        ("failed to parse field [n] with value 's3cret' in 'x'", "failed to parse field [n] with value '…'"),
        ('cannot read {"password":"s3cret"}', "cannot read '…'"),
        ("it's fine", "it's fine"),
        ("\x1b[2J\x07bell", r"\x1b[2J\x07bell"),
        ("right\u202eleft", r"right\u202eleft"),
        ("\udcff", r"\udcff"),
        ("x" * 500, "x" * MAX_LENGTH),
        ("POST /in?a=1&key=ab1&b=2 is refused", "POST /in?a=1&key=***&b=2 is refused"),
        ("/in?sig=a%2F1;x", "/in?sig=***;x"),
        ("/in?a=b&c=keys is fine", "/in?a=b&c=keys is fine"),
        ("?" + "key" * 400, ("?" + "key" * 400)[:MAX_LENGTH]),
    ],
)
def test_a_text_is_shown_on_one_printable_line(text: str, line: str) -> None:
    assert sanitized(text) == line


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", ""),
        (b"line 3 is no JSON", "line 3 is no JSON"),
        (b'{"error":"Content-Type is not supported"}', "Content-Type is not supported"),
        (b'{"error":{"type":"x","reason":"no such index"},"status":404}', "no such index"),
        (b'{"errors":["the first","the second"]}', "the first"),
        (b'{"type":"about:blank","title":"Bad","detail":"value \'s3cret\' is bad"}', "value '…' is bad"),
        (b'{"code":3}', "'…'"),
        (b"[1]", "[1]"),
        (b"<html><head><title>415 Unsupported</title></head><body>x</body></html>", "415 Unsupported"),
        (b"<h1>Bad</h1> <p>request</p>", "Bad request"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"error":' * 5000, "{'…':{"),
    ],
)
def test_of_a_body_its_message_is_shown(body: bytes, line: str) -> None:
    assert error_message(body) == line


@given(st.binary(max_size=3000) | st.text(max_size=3000).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_it_says_a_short_printable_line_comes_of_it(body: bytes) -> None:
    line = error_message(body)
    assert line.isprintable()
    assert len(line) <= MAX_LENGTH


@pytest.mark.parametrize("before", ["", "x" * 150, "x" * 990, '{"error":"', "<title>"])
def test_a_secret_of_ours_is_replaced_before_the_text_is_cut(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "t0ken" * 300  # longer than what is shown, as a JSON Web Token may be
    net = Net()
    monkeypatch.setattr(scrubber, "net", net)
    monkeypatch.setattr(logs, "_scrub", None)
    fixed_secret(token)

    shown = error_message(f'{before}{token} is not known"}}'.encode()) + sanitized(f"{before} {token}")

    assert "t0ken" not in shown
    assert net.hits
