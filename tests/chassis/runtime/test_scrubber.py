"""The net under the types of settings: secrets are found in all outputs, in all their spellings."""

from __future__ import annotations

import base64
import io
import json
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.setting_types import Secret, fixed_secret
from sidecars.chassis.config.urls import RequestTarget, hidden
from sidecars.chassis.runtime import lifecycle, logs, scrubber
from sidecars.chassis.runtime.scrubber import Net

TOKEN = 's3cret/+"\\ü&:tok'
AROUND = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=12)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Net:
    """A net of the test's own, in which nothing is hidden yet."""
    net = Net()
    monkeypatch.setattr(scrubber, "net", net)
    monkeypatch.setattr(logs, "_scrub", None)
    return net


def hiding(*texts: str) -> Net:
    net = Net()
    net.hide(net, texts)
    return net


@given(AROUND, AROUND)
def test_every_spelling_of_a_secret_is_replaced(before: str, after: str) -> None:
    net = hiding(TOKEN)
    spellings = (
        TOKEN,
        urllib.parse.quote(TOKEN),
        urllib.parse.quote(TOKEN, safe=""),
        json.dumps(TOKEN, ensure_ascii=False)[1:-1],
    )
    for spelling in spellings:
        assert spelling not in net.scrub(f"{before}{spelling}{after}", "here")


@given(st.binary(max_size=5), st.binary(max_size=5), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_a_secret_in_base64_is_replaced_wherever_it_begins(before: bytes, after: bytes, encode: object) -> None:
    assert callable(encode)
    net = hiding(TOKEN)
    text = encode(before + TOKEN.encode() + after).decode()

    assert "***" in net.scrub(text, "here")


def test_other_texts_stay_and_nothing_is_counted() -> None:
    net = hiding(TOKEN, "short")

    assert net.scrub("a short line about a token", "here") == "a short line about a token"
    assert net.hits == 0


def test_the_token_behind_a_scheme_is_hidden_by_itself_too() -> None:
    assert hiding("Bearer abcdefgh").scrub("token abcdefgh", "here") == "token ***"
    assert hiding("correct horse battery").scrub("a battery", "here") == "a battery"


def test_a_secret_of_digits_leaves_a_number_a_number() -> None:
    text = hiding("12345678").scrub('{"a":12345678,"b":1.12345678,"c":"12345678"}', "here")

    assert "12345678" not in text
    json.loads(text)


def test_the_value_before_a_rotation_stays_hidden_and_older_ones_do_not() -> None:
    values = ["value-number-1", "value-number-2", "value-number-3"]
    net = Net()
    for value in values:
        net.hide(net, [value])

    assert net.scrub(" ".join(values), "here") == "value-number-1 *** ***"


def test_a_hit_is_counted_and_each_place_is_reported_once(own: Net) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, form="json")
    fixed_secret(TOKEN)
    for _ in range(3):
        logs.get("test").info(f"sent {TOKEN}")
    logs.scrubbed(TOKEN, "/status")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert own.hits == 4
    assert TOKEN not in stream.getvalue()
    assert [line["msg"] for line in lines if line["logger"] == "test"] == 3 * ["sent ***"]
    reports = [line["place"] for line in lines if line["logger"] == "scrubber"]
    assert reports == ["log line of test", "/status"]


def test_a_crash_with_a_secret_in_its_text_shows_it_neither_in_the_log_nor_in_the_termination_message(
    own: Net, tmp_path: Path
) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, form="json")
    fixed_secret(TOKEN)
    termination = tmp_path / "termination-log"
    termination.touch()

    def crash() -> None:
        raise RuntimeError(f"cannot send {TOKEN}")

    assert lifecycle.exit_code_of(crash, str(termination)) == 70
    escaped = json.dumps(TOKEN, ensure_ascii=False)[1:-1]
    assert "cannot send ***" in termination.read_text()
    for output in (stream.getvalue(), termination.read_text()):
        assert TOKEN not in output
        assert escaped not in output
    assert own.hits


def test_a_rotated_secret_is_hidden_from_its_next_use_on(own: Net) -> None:
    values = iter(["first-value", "second-value", "second-value"])
    secret = Secret(lambda: next(values))
    for value in ("first-value", "second-value", "second-value"):
        assert secret.reveal() == value
        assert logs.scrubbed(f"<{value}>", "here") == "<***>"
    assert own.hits == 3


@pytest.mark.parametrize(
    ("target", "is_hidden"),
    [
        ("/in/T0123456789abcdef", True),
        ("/in?key=T0123456789abcdef&x=1", True),
        ("/in?key=T0123456789%61bcdef", True),
        ("/loki/api/v1/push?compression=gzip", False),
    ],
)
def test_what_looks_like_a_token_in_a_hidden_part_of_a_url_is_hidden(own: Net, target: str, is_hidden: bool) -> None:  # noqa: FBT001 - a case
    RequestTarget(target, hidden)

    assert logs.scrubbed("T0123456789abcdef push gzip", "here") == (
        "*** push gzip" if is_hidden else "T0123456789abcdef push gzip"
    )


@pytest.mark.parametrize(
    ("target", "said", "shown"),
    [
        ("/in?key=hunter27&x=1", "no hunter27 here", "no *** here"),
        ("/in?code=hunter2", "GET /in?code=hunter2 is refused", "GET /in?*** is refused"),
        ("/in?X-Api-Key=a%2Fb-c-d-e", "a/b-c-d-e", "***"),
        ("/t;access_token=hunter2/y", "access_token=hunter2/y", "***"),
        ("/in?pipeline=shop-logs", "the pipeline shop-logs is missing", "the pipeline shop-logs is missing"),
        ("/in?dedup_token={batch_key}", "{batch_key}", "{batch_key}"),
    ],
)
def test_a_short_value_of_a_parameter_whose_name_says_that_it_is_a_secret_is_hidden(
    own: Net, target: str, said: str, shown: str
) -> None:
    kept = RequestTarget(target, hidden)

    assert logs.scrubbed(said, "here") == shown
    assert kept.reveal() == target


def test_a_path_that_is_shown_is_no_secret(own: Net) -> None:
    RequestTarget("/actuator/prometheus-version-2")

    assert logs.scrubbed("/actuator/prometheus-version-2", "here") == "/actuator/prometheus-version-2"
    assert own.hits == 0


def test_a_secret_is_replaced_before_a_long_line_is_cut_since_no_search_finds_its_half(own: Net) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, form="json")
    token = "t0ken" * 40
    fixed_secret(token)
    for before in range(3000, 4000, 50):
        logs.get("test").info("request", path=f"{before * 'x'}{token}{5000 * 'y'}")

    assert "t0ken" not in stream.getvalue()
    assert own.hits
