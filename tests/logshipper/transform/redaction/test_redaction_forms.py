"""Redaction of secrets in the forms in which logs have them: escaped, encoded, as cookies, as arguments, over lines."""

from __future__ import annotations

import base64
import json
import random
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.redaction import pem_keys
from sidecars.logshipper.transform.redaction.redactor import Redactor

SECRETS = Redactor("secrets")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        # percent-encoded
        ("next=%2Fx%3Ftoken%3Dhunter2 200", "next=%2Fx%3Ftoken%3D[password] 200"),
        ("body password%3A%20hunter2", "body password%3A%20[password]"),
        ("%7B%22password%22%3A%22hunter2%22%7D", "%7B%22password%22%3A[password]"),
        ("Authorization%3A%20Bearer%20hunter2hunter2", "Authorization%3A%20Bearer%20[bearer]"),
        ("h=Bearer+hunter2hunter2", "h=Bearer+[bearer]"),
        ("to=https%3A%2F%2Fjoe%3Ahunter2%40host%2F", "to=https%3A%2F%2Fjoe%3A[url]%40host%2F"),
        (f"x%3D{JWT}", "x%3D[jwt]"),
        (f"x%20{KEY}", "x%20[apikey]"),
        # escaped, as in JSON
        ("{\\u0022password\\u0022:\\u0022hunter2\\u0022}", "{\\u0022password\\u0022:\\u0022[password]\\u0022}"),
        ("https://x/?token\\u003dhunter2", "https://x/?token\\u003d[password]"),
        ('"url":"https:\\/\\/joe:hunter2@host\\/"', '"url":"https:\\/\\/joe:[url]@host\\/"'),
        (f"line\\n{JWT}\\n", "line\\n[jwt]\\n"),
        (f"line\\n{KEY}\\n", "line\\n[apikey]\\n"),
        ("GET\\r\\nAuthorization: Bearer hunter2hunter2\\r\\n", "GET\\r\\nAuthorization: Bearer [bearer]\\r\\n"),
        # cookies
        ("Cookie: a=hunter2; b=hunter2", "Cookie: [cookie]"),
        ("< set-cookie: sid=hunter2; Path=/; HttpOnly", "< set-cookie: [cookie]"),
        ('{"Cookie": "a=hunter2", "x": 1}', '{"Cookie": "[cookie]", "x": 1}'),
        ("headers={'cookie': 'a=hunter2', 'x': 1}", "headers={'cookie': '[cookie]', 'x': 1}"),
        (r"{\"Set-Cookie\":\"a=hunter2\"}", r"{\"Set-Cookie\":\"[cookie]\"}"),
        ("GET\\r\\nCookie: a=hunter2\\r\\n", "GET\\r\\nCookie: [cookie]\\r\\n"),
        ("cookie_consent=true cookies are nice", "cookie_consent=true cookies are nice"),
        ("JSESSIONID=hunter2;PHPSESSID=hunter2", "JSESSIONID=[password];PHPSESSID=[password]"),
        # arguments
        ("run --password hunter2 --x 1", "run --password [password] --x 1"),
        ("run --db-password 'hunter2'", "run --db-password '[password]'"),
        ("run -token hunter2", "run -token [password]"),
        ('exec ["run", "--api-key", "hunter2"]', 'exec ["run", "--api-key", "[password]"]'),
        ("java -Ddb.password=hunter2", "java -Ddb.password=[password]"),
        ("run --password --verbose", "run --password --verbose"),
        ("sshpass -p hunter2 ssh -p 2222 host", "sshpass -p [password] ssh -p 2222 host"),
        ("mysqldump -u root -phunter2 shop", "mysqldump -u root -p[password] shop"),
        ("redis-cli -h host -a hunter2 ping", "redis-cli -h host -a [password] ping"),
        ("docker login -u joe -p hunter2 host", "docker login -u joe -p [password] host"),
        ("curl -s -u joe:hunter2 https://host", "curl -s -u joe:[password] https://host"),
        ("curl --user=joe:hunter2 https://host", "curl --user=joe:[password] https://host"),
        ("ssh -p 2222 host; mkdir -p /a/b", "ssh -p 2222 host; mkdir -p /a/b"),
    ],
)
def test_a_secret_is_replaced_in_its_form(text: str, clean: str) -> None:
    assert SECRETS.redact_text(text) == clean
    assert SECRETS.redact_text(clean) == clean


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=4, max_size=20))
def test_no_value_survives_any_escape(value: str) -> None:
    marked = f"hunter2{value}"
    header = f"Authorization: Bearer {marked}"
    for text in (f"token={marked}", header, f"Cookie: sid={marked}", f'{{"password": "{marked}"}}'):
        forms = (
            text,
            json.dumps(text),
            json.dumps(json.dumps(text)),
            urllib.parse.quote(text, safe=""),
            urllib.parse.quote_plus(text),
        )
        for form in forms:
            assert marked not in SECRETS.redact_text(f"log {form}"), form


# -- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('{"argv":["run","--password","hunter2","x"]}', '{"argv":["run","--password","[password]","x"]}'),
        ('{"argv":["run","--port","8080"]}', '{"argv":["run","--port","8080"]}'),
        ('{"cookies":{"sid":"hunter2"},"n":1}', '{"cookies":"[cookie]","n":1}'),
        ('{"headers":{"Set-Cookie":["a=hunter2"]}}', '{"headers":{"Set-Cookie":"[cookie]"}}'),
        ('{"url":"/x?next=%2F%3Ftoken%3Dhunter2"}', '{"url":"/x?next=%2F%3Ftoken%3D[password]"}'),
    ],
)
def test_json_is_redacted_by_its_meaning(text: str, clean: str) -> None:
    (found,) = SECRETS.redact_json([text])
    assert json.loads(found) == json.loads(clean)


# -- keys over lines -----------------------------------------------------------------------------------------------


def key_lines(size: int, kind: str = "RSA PRIVATE KEY") -> list[str]:
    body = base64.b64encode(random.Random(size).randbytes(size)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return [f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"]


def redacted(texts: list[str]) -> list[str]:
    """Redact as a pipeline does: first the keys of several lines."""
    return SECRETS.redact_texts(pem_keys.redact(texts, None, {}))


@pytest.mark.parametrize("size", [48, 121, 138, 1192, 2350])
def test_a_key_whose_lines_are_events_is_replaced_to_its_last_line(size: int) -> None:
    key = key_lines(size)
    clean = redacted(["before", *key, "after", "word"])

    assert clean[0] == "before"
    assert clean[-2:] == ["after", "word"]
    assert set(clean[1 : len(key)]) == {"[apikey]"}


def test_the_lines_of_a_key_are_replaced_without_its_beginning() -> None:
    *full, tail, end = key_lines(1192)[1:]

    assert redacted(["word", "two words", *full, tail, end]) == [
        "word",
        "two words",
        *len([*full, tail]) * ["[apikey]"],
        end,
    ]


def test_lines_of_others_between_those_of_a_key_stay() -> None:
    begin, *body, end = key_lines(200)
    texts = [begin, body[0], "INFO a line", *body[1:], end, "word"]

    assert redacted(texts) == [
        "[apikey]", "[apikey]", "INFO a line", *len(body[1:]) * ["[apikey]"], end, "word",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "texts",
    [
        ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        ["no -----BEGIN PRIVATE KEY----- but words", "word"],
        ["word", "-----END RSA PRIVATE KEY-----"],
    ],
)
def test_a_digest_and_words_about_keys_stay(texts: list[str]) -> None:
    assert redacted(texts)[-1] == texts[-1]
    assert "e3b0" in texts[0] or redacted(texts)[1:] == texts[1:]


def test_a_key_of_one_event_does_not_reach_into_the_next() -> None:
    whole = "\n".join(key_lines(200))

    assert redacted([whole, "word"])[1] == "word"
