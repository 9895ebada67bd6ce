"""Signature Version 4 beside AWS's published examples and beside botocore, AWS's own implementation."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.identity.aws_signature import (
    EMPTY_BODY,
    UNSIGNED_BODY,
    AwsKeys,
    Request,
    Scope,
    body_hash,
    encoded,
    presigned_target,
    signed_fields,
)

# The example keys of AWS's documentation, which sign nothing anywhere.
SUITE = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
S3_DOCS = AwsKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SUITE_TIME = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC).timestamp()
S3_TIME = dt.datetime(2013, 5, 24, tzinfo=dt.UTC).timestamp()
S3_HOST = ("Host", "examplebucket.s3.amazonaws.com")
SUITE_HOST = ("Host", "example.amazonaws.com")


def signature(keys: AwsKeys, scope: Scope, request: Request, now: float) -> str:
    return dict(signed_fields(keys, scope, request, now))["Authorization"].rpartition("Signature=")[2]


# -- published -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            Request("GET", "/test.txt", [S3_HOST, ("Range", "bytes=0-9")]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            id="GET of an object",
        ),
        pytest.param(
            Request(
                "PUT",
                "/test%24file.text",
                [S3_HOST, ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                body_hash([b"Welcome to ", b"Amazon S3."]),
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            id="PUT of an object",
        ),
        pytest.param(
            Request("GET", "/?lifecycle", [S3_HOST]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="GET of the lifecycle",
        ),
        pytest.param(
            Request("GET", "/?max-keys=2&prefix=J", [S3_HOST]),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="list of objects",
        ),
    ],
)
def test_the_examples_of_the_s3_documentation_have_their_signatures(request_: Request, expected: str) -> None:
    assert signature(S3_DOCS, Scope("s3", "us-east-1"), request_, S3_TIME) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            Request("GET", "/", [SUITE_HOST]),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            Request("GET", "/?Param2=value2&Param1=value1", [SUITE_HOST]),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            id="get-vanilla-query-order-key-case",
        ),
        pytest.param(
            Request("POST", "/", [SUITE_HOST]),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
    ],
)
def test_the_examples_of_the_test_suite_have_their_signatures(request_: Request, expected: str) -> None:
    assert signature(SUITE, Scope("service", "us-east-1"), request_, SUITE_TIME) == expected


def test_the_presigned_example_of_the_s3_documentation_has_its_signature() -> None:
    request = Request("GET", "/test.txt", [S3_HOST], UNSIGNED_BODY)
    target = presigned_target(S3_DOCS, Scope("s3", "us-east-1"), request, 86400, S3_TIME)
    expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert target.rpartition("&X-Amz-Signature=")[2] == expected


# -- botocore ------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
ODD = st.sampled_from(["a b", "a+b", "a=b", "~", "ü€😀", "a%20b", "a&b;c", "'()*!", "@:,$", "#?[]", '\\|^`{}<>"', "."])
TOKENS = st.none() | st.just("FwoGZXIvYXdzE/+=EXAMPLE")
TIME = dt.datetime(2026, 11, 30, 1, 2, 3, tzinfo=dt.UTC)


def of_botocore(signer: Any, keys: AwsKeys, scope: Scope, request: Request, body: bytes, **options: Any) -> AWSRequest:
    """Return the request as botocore signs it at TIME."""
    fields = dict(request.fields)
    made = AWSRequest(request.method, f"https://{fields.pop('Host')}{request.target}", headers=fields, data=body)
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token)
    with mock.patch.object(auth, "get_current_datetime", return_value=TIME.replace(tzinfo=None)):
        signer(credentials, scope.service, scope.region, **options).add_auth(made)
    return made


@given(
    st.lists(NAMES | ODD, min_size=1, max_size=4),
    st.dictionaries(NAMES | ODD, NAMES | ODD | st.just(""), max_size=3),
    st.sampled_from(["PUT", "POST", "GET", "DELETE"]),
    TOKENS,
    st.binary(max_size=20),
)
def test_requests_to_s3_are_signed_as_botocore_signs_them(
    path: list[str], query: dict[str, str], method: str, token: str | None, body: bytes
) -> None:
    keys, scope = AwsKeys("AKID", "se/cr+et", token), Scope("s3", "eu-central-1")
    target = "/" + encoded("/".join(path).lstrip("/"), "/")
    if query:
        target += "?" + "&".join(f"{encoded(name)}={encoded(value)}" for name, value in query.items())
    fields = [("Host", "logs.s3.eu-central-1.amazonaws.com"), ("x-amz-storage-class", "STANDARD_IA")]
    request = Request(method, target, fields, body_hash([body]))

    expected = of_botocore(auth.S3SigV4Auth, keys, scope, request, body).headers
    found = dict(signed_fields(keys, scope, request, TIME.timestamp()))

    assert found["Authorization"] == expected["Authorization"]
    assert found["X-Amz-Date"] == expected["X-Amz-Date"]
    assert found["X-Amz-Content-Sha256"] == expected["X-Amz-Content-SHA256"]
    assert found.get("X-Amz-Security-Token") == expected.get("X-Amz-Security-Token")


@given(st.lists(NAMES | ODD | st.sampled_from(["", ".", ".."]), max_size=5), TOKENS, st.binary(max_size=20))
def test_requests_to_other_services_are_signed_as_botocore_signs_them(
    path: list[str], token: str | None, body: bytes
) -> None:
    keys, scope = AwsKeys("AKID", "se/cr+et", token), Scope("es", "eu-central-1")
    target = "/" + encoded("/".join(path).lstrip("/"), "/")
    request = Request("POST", target, [("Host", "search.example"), ("content-type", "a/b")], body_hash([body]))
    expected = of_botocore(auth.SigV4Auth, keys, scope, request, body).headers
    assert dict(signed_fields(keys, scope, request, TIME.timestamp()))["Authorization"] == expected["Authorization"]


@given(st.dictionaries(NAMES | ODD, NAMES | ODD, max_size=3), TOKENS)
def test_presigned_requests_are_those_of_botocore(query: dict[str, str], token: str | None) -> None:
    """As for the token of Amazon MSK, which is a presigned request of the action `kafka-cluster:Connect`."""
    keys, scope = AwsKeys("AKID", "se/cr+et", token), Scope("kafka-cluster", "eu-central-1")
    named = {"Action": "kafka-cluster:Connect", **query}
    target = "/?" + "&".join(f"{encoded(name)}={encoded(value)}" for name, value in named.items())
    request = Request("GET", target, [("Host", "kafka.eu-central-1.amazonaws.com")])
    expected = of_botocore(auth.SigV4QueryAuth, keys, scope, request, b"", expires=900)
    found = presigned_target(keys, scope, request, 900, TIME.timestamp())
    assert sorted(urlsplit(found).query.split("&")) == sorted(urlsplit(expected.url).query.split("&"))


def test_neither_the_secret_key_nor_the_session_token_is_shown() -> None:
    shown = repr(AwsKeys("AKID", "SECRET-KEY", "SESSION-TOKEN"))
    assert "AKID" in shown
    assert "SECRET-KEY" not in shown
    assert "SESSION-TOKEN" not in shown


def test_blanks_of_a_field_become_one_and_fields_of_one_name_are_joined() -> None:
    fields = [SUITE_HOST, ("My-Header1", "  a   b   c  "), ("my-header1", "d")]
    same = [SUITE_HOST, ("my-header1", "a b c,d")]
    scope = Scope("service", "us-east-1")
    one, other = (signature(SUITE, scope, Request("GET", "/", each), SUITE_TIME) for each in (fields, same))
    assert one == other


def test_the_hash_of_no_body_is_known() -> None:
    assert body_hash([]) == EMPTY_BODY
