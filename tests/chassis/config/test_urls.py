"""URLs and request targets: accepted and refused values, and what is shown of them."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.setting_types import pairs, text
from sidecars.chassis.config.urls import RequestTarget, Url, hidden, path_only, redact_credentials, url
from sidecars.chassis.runtime import json_text

# -- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw", ["http://a", "http://a/", "https://[::1]:443", "http://a:80/", "https://a.example:8443"]
)
def test_a_url_without_a_path_is_shown_as_it_is(raw: str) -> None:
    assert url("http", "https").show(url("http", "https").parse(raw)) == raw


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("http://joe:hunter2@host:80/", "http://***@host:80/"),
        ("http://hunter2@host", "http://***@host"),
        ("http://joe:hunter2@host/hunter2/hunter2;hunter2?hunter2#hunter2", "http://***@host/***?***"),
        ("https://host?hunter2", "https://host?***"),
        ("https://host/#hunter2", "https://host/"),
        ("https://host/%68unter2/hunter2", "https://host/***"),
    ],
)
def test_user_info_path_query_and_fragment_are_not_shown(raw: str, shown: str) -> None:
    value = Url(urlsplit(raw))

    for text_of_it in (str(value), repr(value), f"{value}", f"{[value]}", json.loads(json.dumps(value, default=str))):
        assert text_of_it.strip("[]") == shown
    assert json_text.dumps({"url": value}) == f'{{"url":"{shown}"}}'


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("/actuator/health", "/actuator/health"),
        ("/metrics?token=hunter2", "/metrics?***"),
        ("/metrics?", "/metrics?***"),
        ("/metrics;jsessionid=hunter2/x?y", "/metrics;***?***"),
    ],
)
def test_the_path_of_a_request_is_shown_without_its_query(raw: str, shown: str) -> None:
    target = RequestTarget(raw)

    assert target.reveal() == raw
    assert str(target) == repr(target) == f"{target}" == shown
    assert str(Url(urlsplit("http://app:1")).with_target(target)) == f"http://app:1{shown}"


def test_targets_that_are_shown_alike_are_not_equal() -> None:
    one, other = RequestTarget("/a?x=1"), RequestTarget("/a?x=2")

    assert str(one) == str(other)
    assert one != other
    assert Url(urlsplit("http://a/?1")) != Url(urlsplit("http://a/?2"))
    assert len({one, other, RequestTarget("/a?x=1")}) == 2


@pytest.mark.parametrize(("path", "shown"), [("", ""), ("/", "/"), ("/a", "/***"), ("/a/b", "/***"), ("//", "/***")])
def test_a_hidden_path_is_shown_to_be_there(path: str, shown: str) -> None:
    assert hidden(path) == shown


def test_a_path_is_whole_without_parameters() -> None:
    assert path_only("/a/b") == "/a/b"


# -- values -----------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_url_are_at_hand() -> None:
    value = url("http").parse("http://[::1]:8080/a?b")

    assert (value.scheme, value.hostname, value.port, value.host_port) == ("http", "::1", 8080, "[::1]:8080")
    assert value.target.reveal() == "/a?b"
    assert url("http").parse("http://a").port is None


def test_user_info_is_refused_as_nothing_would_send_it_and_is_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"^expected a URL without user info") as caught:
        url("http").parse("http://joe:hunter2@host/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    ["a:80", "ftp://a", "http://", "http://:80", "http://a:0", "http://a:x", "http://[::1", "http://a b", "http://a\n"],
)
def test_what_is_no_url_of_the_schemes_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"^expected http://host") as caught:
        url("http", "https").parse(raw)
    assert str(caught.value).startswith("expected http://host[:port] or https://host[:port]")


def test_a_wrong_pair_with_a_hidden_part_is_told_by_its_position() -> None:
    with pytest.raises(ValueError, match=r"^pair 2: expected http://host") as caught:
        pairs(text, url("http")).parse("a=http://a,b=ftp://hunter2")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^pair 2: expected each name once") as caught:
        pairs(text, url("http")).parse("hunter2=http://a,hunter2=http://b")
    assert "hunter2" not in str(caught.value)


# -- credentials in a value of another type ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("http://joe:hunter2@host/x", "http://***@host/x"),
        ("http://joe@host", "http://***@host"),
        ("http://joe:hun@ter2@host/x@y", "http://***@y"),
        ("http://joe:hunter2/hunter2@host", "http://***@host"),
        ("http://joe:hunter2?hunter2@host/x", "http://***@host/x"),
        ("http://joe:hunter2#hunter2@host", "http://***@host"),
        ("http://a,http://joe:hunter2@b", "http://a,http://***@b"),
        ("http://joe:hunter2@a,http://b/@c", "http://***@a,http://b/@c"),
        ("http://joe@corp:hunter2/hunter2@host", "http://***@host"),
        ("http://joe:80@host", "http://***@host"),
        ("http://a:80,http://b:81/@c", "http://a:80,http://b:81/@c"),
        ("http://host:80/@scope/x", "http://host:80/@scope/x"),
        ("http://[::1]:80/@scope", "http://[::1]:80/@scope"),
        ("http://host/?token=hunter2&x=1", "http://host/?token=***&x=1"),
        ("http://host/?x=1&X-Api-Key=hunter2", "http://host/?x=1&X-Api-Key=***"),
        ("http://host/?client_secret=hunter2", "http://host/?client_secret=***"),
        ("no url, but joe@host", "no url, but joe@host"),
    ],
)
def test_credentials_in_a_url_are_not_shown(raw: str, shown: str) -> None:
    assert redact_credentials(raw) == shown
    assert "hunter2" not in shown


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=12))
def test_no_password_is_shown_whatever_it_is_made_of(password: str) -> None:
    marked = f"hunter2{password}hunter2"

    assert "hunter2" not in redact_credentials(f"https://joe:{marked}@host:443/path")
