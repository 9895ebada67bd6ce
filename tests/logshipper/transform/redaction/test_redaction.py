"""Redaction: no text that a rule matches leaves."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.redaction.redaction_presets import PRESETS, SETS, passes_luhn
from sidecars.logshipper.transform.redaction.redactor import MOST_MATCHES, Redactor
from tests.logshipper.pipelines import shipped
from tests.support import examples

ALL = "secrets,personal"
_CLEAN = Redactor(ALL)

EXAMPLES = {
    "email": ["bob@example.com", "bob.o-x+tag@mail.example.co.uk", "ü@exämple.de"],
    "card": ["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005", "5555555555554444", "6011000990139424"],
    "ipv4": ["10.0.0.1", "255.255.255.255", "192.168.1.77"],
    "ipv6": ["fe80::1", "2001:db8:0:0:0:0:2:1", "::1", "::ffff:192.0.2.1", "2001:DB8::8a2e:370:7334"],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"],
    "apikey": [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb-1234567890-abcdef",
        "sk_live_4eC39HqLyjWDarjt",
    ],
}


@pytest.mark.parametrize("name", EXAMPLES)
@given(st.data())
def test_an_example_of_a_preset_is_replaced_wherever_it_stands(name: str, data: st.DataObject) -> None:
    example = data.draw(st.sampled_from(EXAMPLES[name]))
    before, after = (
        data.draw(st.sampled_from(["", "to ", "é ", '{"a":"', "(", "<", "x=y "])),
        data.draw(st.sampled_from(["", " x", '"}', ")", ", y", "\n"])),
    )
    assert Redactor(name).redact_texts(["other", f"{before}{example}{after}", ""]) == [
        "other",
        f"{before}[{name}]{after}",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password=hunter2 x", "password=[password] x"),
        ('{"password": "hun\\"ter2", "a": 1}', '{"password": "[password]", "a": 1}'),
        ("{'passwd': 'a b'}", "{'passwd': '[password]'}"),
        (r"sent {\"api_key\":\"abc\",\"user\":\"bob\"}", r"sent {\"api_key\":\"[password]\",\"user\":\"bob\"}"),
        ("GET /x?token=abc&user=bob", "GET /x?token=[password]&user=bob"),
        ("spring.datasource.password: p@ss", "spring.datasource.password: [password]"),
        ("dbPassword=x clientSecretKey=y", "dbPassword=[password] clientSecretKey=[password]"),
        ("token: null, secret=false", "token: null, secret=false"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [bearer]"),
        ("authorization=abc123", "authorization=[bearer]"),
        ("curl -H 'Bearer abcdefgh12'", "curl -H 'Bearer [bearer]'"),
        ("jdbc:postgresql://shop:s3cret@db:5432/shop", "jdbc:postgresql://shop:[url]@db:5432/shop"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("card 4111 1111 1111 1112 at 1767323045123", "card 4111 1111 1111 1112 at 1767323045123"),
        ("4111 1111 1111 1111 12 2026", "[card] 12 2026"),
        ("at 10:00:00 std::bad_alloc a.b.C::d 1.2.3", "at 10:00:00 std::bad_alloc a.b.C::d 1.2.3"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END", "[apikey]-----END"),
        ("[email] and password=[password]", "[email] and password=[password]"),
    ],
)
def test_redaction_by_example(text: str, clean: str) -> None:
    assert _CLEAN.redact_text(text) == clean


_NOISE = st.text("ab1 .:@=-/\"'\\,;[]{}&é\n", max_size=8)
_SPICE = st.sampled_from([
    *(example for examples in EXAMPLES.values() for example in examples), "password=", "token: ", "Bearer ", "://a:",
    "@h", "secret", "[email]", "[card]", "[password", "4111 ", "1111", "::", "authorization:", "eyJhbGciOi.eyJzdWIi",
])  # fmt: skip
_SALAD = st.lists(_NOISE | _SPICE, max_size=10).map("".join)
_TOKENS = re.compile(r"\[(?:redacted|" + "|".join(PRESETS) + r")\]")


@given(st.lists(_SALAD, min_size=1, max_size=5))
def test_nothing_that_a_preset_matches_is_left(texts: list[str]) -> None:
    for name, clean in [(name, Redactor(name).redact_texts(texts)) for name in PRESETS] + [
        (ALL, _CLEAN.redact_texts(texts))
    ]:
        assert Redactor(name).redact_texts(clean) == clean, "redaction of what is clean changes nothing"
        rest = [piece for text in clean for piece in _TOKENS.split(text)]
        for piece in rest:
            if name in ("card", ALL):
                assert not cards(piece)
            if name in ("ipv4", ALL):
                assert not re.search(r"(?<![\w])(?:\d{1,3}\.){3}\d{1,3}(?![\w])", piece, re.ASCII) or not addresses(
                    piece
                )
            if name in ("email", ALL):
                assert not re.search(r"[a-z0-9]@(?:[a-z0-9]+\.)+[a-z0-9]", piece)


def cards(text: str) -> list[str]:
    """Return all card numbers, found by trying every place and length."""
    found = []
    for start in range(len(text)):
        if not text[start].isdigit() or (start and re.match(r"\w", text[start - 1])):
            continue
        for end in range(start + 13, min(len(text), start + 37) + 1):
            digits = re.sub("[ -]", "", text[start:end])
            whole = re.fullmatch(r"\d(?:[ -]?\d)*", text[start:end], re.ASCII) and not re.match(
                r"\w", text[end : end + 1]
            )
            if whole and len(digits) == 16 and digits[0] in "23456" and luhn(digits):
                found.append(digits)
    return found


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0 and int(digits) > 0


def addresses(text: str) -> list[str]:
    found = re.findall(r"(?<![\w])(?:\d{1,3}\.){3}\d{1,3}(?![\w])", text, re.ASCII)
    return [address for address in found if valid(address)]


def valid(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


@given(st.from_regex(r"\A[0-9]{13,19}\Z").map(lambda digits: re.sub(r"[^0-9]", "7", digits)))
def test_luhn_is_luhn(digits: str) -> None:
    assert passes_luhn(digits.encode()) == luhn(digits)


_VALUES = _SALAD | st.integers(0, 2**62) | st.booleans() | st.none() | st.just(4111111111111111)
_OBJECTS = st.dictionaries(
    st.sampled_from(["a", "password", "apiKey", "user", "é"]) | _SALAD,
    st.recursive(
        _VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["b", "token"]), inner)
    ),
    max_size=4,
)


@given(_OBJECTS)
def test_json_stays_json_and_none_of_its_strings_keeps_what_a_preset_matches(thing: dict[str, Any]) -> None:
    escaped, plain = _CLEAN.redact_json([json.dumps(thing), json.dumps(thing, ensure_ascii=False)])
    assert json.loads(escaped) == json.loads(plain)
    for name, value in strings(json.loads(plain)):
        for piece in _TOKENS.split(value):
            assert _CLEAN.redact_text(piece) == piece
        assert name not in ("password", "apiKey", "token") or _TOKENS.fullmatch(value) or not value


def strings(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(name, value)]
    if isinstance(value, dict):
        return [pair for key, member in value.items() for pair in [("", key), *strings(member, key)]]
    return [pair for member in value for pair in strings(member)] if isinstance(value, list) else []


def test_what_json_says_twice_leaves_neither_time() -> None:
    for line in ('{"m":"bob@x.org","m":"y"}', '{"m":"bob\\u0040x.org","m":"y"}'):
        assert _CLEAN.redact_json([line]) == ['{"m":"y"}']


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["4 " * 30_000, "a@" * 200_000, "::1 " * 50_000, "password=" * 50_000, "a.b" * 100_000]
)
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    assert "bob@x.org" not in _CLEAN.redact_text(f"{text} bob@x.org")


def test_a_regex_between_slashes_replaces_what_it_matches_or_its_groups() -> None:
    redactor = Redactor(r"/user-\d{2,4}/, /iban=(\w+)/,email")
    assert redactor.redact_text("user-123 iban=DE12 a@b.de") == "[redacted] iban=[redacted] [email]"
    assert Redactor(r"/a\/b/").redact_text("a/b") == "[redacted]"
    assert Redactor(r"/\w/").redact_text("a b") == "[redacted] [redacted]"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("emial", "emial is not known; there are email, card"),
        ("email,,card", "expected names between commas"),
        ("/abc", "expected a regex between slashes"),
        ("/(/", "missing \\), unterminated subpattern at character 1"),
        ("/a(?!b)/", "cannot be matched in linear time"),
    ],
)
def test_a_bad_redaction_is_refused_with_what_is_wrong(raw: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Redactor(raw)


def test_the_attributes_of_dockers_entries_are_redacted_as_they_may_have_variables_of_the_container() -> None:
    attributes = {"DB_PASSWORD": "hunter2", "tag": "shop", "mail": "bob@example.com"}
    entry = {"log": "x\n", "stream": "stdout", "time": "2026-01-02T03:04:05Z", "attrs": attributes}
    (record,) = shipped(json.dumps(entry) + "\n", FORMAT="docker", REDACT=ALL)
    assert record["attrs"] == {"DB_PASSWORD": "[password]", "tag": "shop", "mail": "[email]"}


def test_every_preset_belongs_to_a_set() -> None:
    assert sorted(name for names in SETS.values() for name in names) == sorted(PRESETS)


def test_what_follows_very_many_matches_of_a_users_regex_is_replaced_as_a_whole() -> None:
    """Each match may be searched for far ahead: a line of a MiB took 35 s."""
    text = "a" * (3 * MOST_MATCHES) + " and more"
    assert Redactor("/a[^;]*;|a/").redact_text(text) == "[redacted]" * (MOST_MATCHES + 1)


@given(st.integers(MOST_MATCHES - 2, MOST_MATCHES + 2), st.sampled_from(["", " ", " safe "]))
@examples(10)
def test_no_match_is_shown_however_many_there_are(count: int, between: str) -> None:
    clean = Redactor("/s(ecret)/").redact_text(f"secret{between}" * count)
    assert "secret" not in clean
    assert clean.count("[redacted]") == min(count, MOST_MATCHES + 1)
