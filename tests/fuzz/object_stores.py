"""Targets of what object stores, STS, metadata services and token services answer."""

from __future__ import annotations

import contextlib

from sidecars.chassis.http.response_parser import ClientResponse
from sidecars.chassis.identity import access_tokens
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.aws_answers import UnusableAnswer, keys_of_metadata, keys_of_sts
from sidecars.logshipper.sinks.base import BatchTooLarge, RetryLater
from sidecars.logshipper.sinks.over_http import otlp
from sidecars.logshipper.sinks.s3 import answers
from sidecars.logshipper.sinks.s3.answers import Answer
from tests.fuzz.registry import target


@target(
    "logshipper.sinks.s3.answers",
    "chassis.identity.aws_answers",
    "chassis.identity.xml_elements",
    reach=85,
)
def store_and_sts_answers(data: bytes) -> None:
    """Nothing but a whole 2xx and 412 is a yes; keys are what a header can carry; a reason is one printable line."""
    status, _, rest = data.partition(b"\n")
    date, _, body = rest.partition(b"\n")
    number = int(status) if status.isdigit() and len(status) == 3 else 200
    response = ClientResponse(number, {"date": date.decode("latin-1")}, body, early=False)
    try:
        meaning = answers.meaning(response)
    except RetryLater as error:
        assert error.reason.isprintable()
    except BatchTooLarge:
        pass
    else:
        is_yes = number == 412 or (200 <= number < 300 and b"<Error" not in body[:1024])
        assert (meaning is Answer.STORED) is is_yes
    for read in (keys_of_sts, keys_of_metadata):
        with contextlib.suppress(UnusableAnswer):
            keys = read(number, body)
            assert keys.access_key.isascii()
            assert keys.secret_key.isprintable()


@target("chassis.identity.access_tokens", "logshipper.sinks.over_http.otlp", reach=30)
def token_and_otlp_answers(data: bytes) -> None:
    """A token is one that a header can carry, for a day at most; refused records are no negative number."""
    status, _, body = data.partition(b"\n")
    number = int(status) if status.isdigit() and len(status) == 3 else 200
    try:
        token = access_tokens.parse_token(number, body, "the service", 1000.0)
    except NoCredentials as error:
        assert error.reason.isprintable()
    else:
        assert token.text.isascii()
        assert token.text.isprintable()
        assert 1000 < token.renew_at(0.5) < token.ends <= 1000 + 86400
    for read in (otlp.partial_success, otlp.partial_success_in_json):
        with contextlib.suppress(RetryLater):
            refused, message = read(body)
            assert refused >= 0
            assert message.isprintable()
