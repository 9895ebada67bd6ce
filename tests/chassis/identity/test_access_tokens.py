"""Access tokens: what a service may answer, and when a new token is due."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.identity.access_tokens import AccessToken, parse_id_token, parse_token
from sidecars.chassis.identity.answers import NoCredentials

NOW = 1000.0


def answer(**members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        (3600, 3600),
        ("3599", 3599),
        (59.5, 59.5),
        (None, 300),
        ("soon", 300),
        (-5, 300),
        (True, 300),
        (1e12, 86400),
        (0, 300),
        (1, 1),
    ],
)
def test_a_token_ends_when_the_service_says_or_after_five_minutes(life: Any, seconds: float) -> None:
    token = parse_token(200, answer(access_token="t", expires_in=life), "the service", NOW)
    assert (token.text, token.ends) == ("t", NOW + seconds)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"", "its answer is no JSON object"),
        (200, b"[" * 5000, "its answer is no JSON object"),
        (200, b"[]", "its answer is no JSON object"),
        (200, answer(token="t"), "its answer has none that a header can carry"),
        (200, answer(access_token=5), "its answer has none that a header can carry"),
        (200, answer(access_token="a\r\nX-Other: b"), "its answer has none that a header can carry"),
        (200, answer(access_token="x" * 20_000), "its answer has none that a header can carry"),
        (200, answer(access_token="t", token_type="mac"), "is no bearer token"),
        (200, answer(access_token="t", expires_in=0.01), "a token for 0.01 s, which is too short to use it"),
        (200, answer(access_token="t", expires_in="0.999"), "a token for 0.999 s, which is too short to use it"),
        (302, b"", "it answered with 302$"),
        (
            401,
            answer(error="invalid_client", error_description="wrong secret\r\nTrace: 1"),
            "401: invalid_client: wrong secret$",
        ),
        (500, b"<title>Oops</title>", "500: Oops"),
    ],
)
def test_an_answer_without_a_token_is_a_sentence(status: int, body: bytes, reason: str) -> None:
    with pytest.raises(NoCredentials, match=f"^the service gives .*{reason}"):
        parse_token(status, body, "the service", NOW)


@given(
    status=st.sampled_from([200, 400]),
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["access_token", "expires_in", "token_type", "error"]), inner, max_size=3)
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_whatever_a_service_answers_it_is_a_token_or_a_sentence(status: int, body: bytes) -> None:
    try:
        token = parse_token(status, body, "the service", NOW)
    except NoCredentials:
        return
    assert token.text.isprintable()
    assert NOW < token.ends <= NOW + 86400


@given(life=st.floats(1, 86400), chance=st.floats(0, 1, exclude_max=True))
def test_a_new_token_is_fetched_before_the_old_one_ends_and_not_too_soon(life: float, chance: float) -> None:
    at = AccessToken("t", NOW, NOW + life).renew_at(chance)
    assert NOW + life / 2 <= at < NOW + life
    assert at <= NOW + life - min(60, life / 2) + 1e-6


@pytest.mark.parametrize(
    ("wall", "life"),
    [
        (1000.0, 3600.0),
        (4300.0, 300.0),  # the metadata server had kept it
        (900.0, 3600.0),  # this clock is behind
        (9000.0, 3600.0),  # this clock is wrong
    ],
)
def test_an_id_token_that_was_kept_for_long_ends_when_it_says(wall: float, life: float) -> None:
    claims = urlsafe_b64encode(b'{"iat": 1000, "exp": 4600}').decode().rstrip("=")
    found = parse_id_token(200, f"e30.{claims}.c2ln".encode(), "the service", 50.0, wall)
    assert found.ends - found.fetched == life
