"""SCRAM by the examples of RFC 5802 (section 5) and RFC 7677 (section 3), and brokers that do not know the password."""

from __future__ import annotations

import pytest

from sidecars.logshipper.sinks.kafka.protocol import scram
from sidecars.logshipper.sinks.kafka.protocol.scram import ScramExchange, ScramFailed

EXAMPLES = {
    "sha1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "sha256": (
        "rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.fixture(autouse=True)
def with_sha1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the hash of RFC 5802's example, which no broker has."""
    monkeypatch.setitem(scram.ALGORITHMS, "scram-sha-1", "sha1")


def exchange(algorithm: str) -> ScramExchange:
    mechanism = next(name for name, each in scram.ALGORITHMS.items() if each == algorithm)
    return ScramExchange(mechanism, "user", "pencil", EXAMPLES[algorithm][0])


@pytest.mark.parametrize("algorithm", EXAMPLES)
def test_the_examples_of_the_standards(algorithm: str) -> None:
    nonce, first, final, last = EXAMPLES[algorithm]
    ours = exchange(algorithm)
    assert ours.first() == f"n,,n=user,r={nonce}".encode()
    assert ours.final(first) == final
    ours.verify(last)


def test_a_name_with_a_comma_or_an_equals_sign_is_escaped() -> None:
    assert b"n=a=3Db=2Cc," in ScramExchange("scram-sha-256", "a=b,c", "x", "nonce").first()


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"r=other,s=AAAA,i=4096", "does not continue ours"),
        (b"r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096", "does not continue ours"),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1", "4096 to 1000000"),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=999999999", "4096 to 1000000"),
        (b"r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096", "no salt"),
        (b"r=rOprNGfwEbeRWgbNEkqOx", "no salt"),
        (b"", "does not continue ours"),
    ],
)
def test_a_first_message_that_is_not_right(first: bytes, expected: str) -> None:
    with pytest.raises(ScramFailed, match=expected):
        exchange("sha256").final(first)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (b"v=AAAA", "signature is wrong"),
        (b"e=invalid-proof", "does not accept"),
        (b"v=!", "no signature"),
        (b"", "no signature"),
    ],
)
def test_a_broker_that_does_not_know_the_password_is_not_trusted(last: bytes, expected: str) -> None:
    ours = exchange("sha256")
    ours.final(EXAMPLES["sha256"][1])
    with pytest.raises(ScramFailed, match=expected):
        ours.verify(last)
