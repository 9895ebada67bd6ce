"""Signatures of requests as the data path has them: published examples, and botocore on requests that are made up."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from unittest import mock

import hpack
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http.request_head import Http1Request
from sidecars.ambassador.proxy.identity.chunk_signatures import ChunkSigner, encoded_length
from sidecars.ambassador.proxy.identity.request_signature import EMPTY_BODY, UNSIGNED, Seed, Signer
from sidecars.chassis.identity.aws_signature import AwsKeys, Scope, body_hash, encoded, signing_key
from tests.ambassador.exchanges import parse

# The example keys of AWS's documentation, which sign nothing anywhere.
SUITE = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
S3_DOCS = AwsKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SUITE_TIME = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC).timestamp()
S3_TIME = dt.datetime(2013, 5, 24, tzinfo=dt.UTC).timestamp()
TIME = dt.datetime(2026, 11, 30, 1, 2, 3, tzinfo=dt.UTC)


def request(line: str, *fields: str) -> Http1Request:
    return parse("\r\n".join([f"{line} HTTP/1.1", "Host: app", *fields]).encode())


def added(lines: bytes) -> dict[str, str]:
    return dict(line.decode().split(": ", 1) for line in lines.split(b"\r\n")[1:])


def signature(lines: bytes) -> str:
    return added(lines)["Authorization"].rpartition("Signature=")[2]


# -- published -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fields", "body", "expected"),
    [
        ("GET /", (), b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "GET /?Param2=value2&Param1=value1",
            (),
            b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("POST /", (), b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST /",
            ("Content-Type: application/x-www-form-urlencoded",),
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            (),
            b"",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
    ],
)
def test_the_examples_of_the_test_suite_have_their_signatures(
    line: str, fields: tuple[str, ...], body: bytes, expected: str
) -> None:
    signer = Signer(SUITE, Scope("service", "us-east-1"))
    digest = body_hash([body]).encode()
    lines, _ = signer.sign(request(line, *fields), b"example.amazonaws.com", digest, [], SUITE_TIME)
    assert signature(lines) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET /?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_the_examples_of_the_s3_documentation_have_their_signatures(line: str, expected: str) -> None:
    signer = Signer(S3_DOCS, Scope("s3", "us-east-1"))
    more = [(b"x-amz-content-sha256", EMPTY_BODY)]
    lines, _ = signer.sign(request(line), b"examplebucket.s3.amazonaws.com", EMPTY_BODY, more, S3_TIME)
    assert signature(lines) == expected


def test_the_chunks_of_the_s3_documentation_have_their_signatures() -> None:
    key = signing_key(S3_DOCS, Scope("s3", "us-east-1"), "20130524")
    first = b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"  # of the head in the example
    seed = Seed(key, b"20130524T000000Z", b"20130524/us-east-1/s3/aws4_request", first)
    sent = b"".join(ChunkSigner(seed).encode([b"a" * 66560], done=True))
    assert re.findall(rb"(?:^|\r\n)([0-9a-f]{1,5});chunk-signature=([0-9a-f]{64})\r\n", sent) == [
        (b"10000", b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (b"400", b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (b"0", b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ]
    assert len(sent) == 66824 == encoded_length(66560)


# -- botocore ------------------------------------------------------------------------------------------------------

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
ODD = st.sampled_from(["a b", "a+b", "a=b", "~", "ü€😀", "a%20b", "a&b;c", "'()*!", "@:,$", "#?[]", ".", "..", ""])
TOKENS = st.none() | st.just("FwoGZXIvYXdzE/+=EXAMPLE")
FIELDS = st.dictionaries(
    st.sampled_from(["X-Amz-Meta-One", "x-amz-target", "Content-Type", "Content-MD5", "X-Amz-Acl"]), VISIBLE, max_size=4
)


def of_botocore(  # noqa: PLR0917 - what a signature covers
    signer: Any, keys: AwsKeys, scope: Scope, method: str, target: str, fields: dict[str, str], body: bytes
) -> dict[str, str]:
    """Return the fields of the request as botocore signs it at TIME."""
    made = AWSRequest(method, f"https://things.example{target}", headers=fields, data=body)
    with mock.patch.object(auth, "get_current_datetime", return_value=TIME.replace(tzinfo=None)):
        credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token)
        signer(credentials, scope.service, scope.region).add_auth(made)
    return dict(made.headers.items())


@given(
    path=st.lists(NAMES | ODD, max_size=4),
    query=st.dictionaries(NAMES | ODD.filter(bool), NAMES | ODD, max_size=3),
    method=st.sampled_from(["PUT", "POST", "GET", "DELETE"]),
    fields=FIELDS,
    token=TOKENS,
    body=st.binary(max_size=20),
    service=st.sampled_from(["s3", "execute-api"]),
)
def test_every_request_has_the_authorization_of_botocore(  # noqa: PLR0917 - what a signature covers
    path: list[str],
    query: dict[str, str],
    method: str,
    fields: dict[str, str],
    token: str | None,
    body: bytes,
    service: str,
) -> None:
    keys, scope = AwsKeys("AKID", "se/cr+et", token), Scope(service, "eu-central-1")
    target = "/" + encoded("/".join(path).lstrip("/"), "/")
    if query:
        target += "?" + "&".join(f"{encoded(name)}={encoded(value)}" for name, value in query.items())
    signer = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    expected = of_botocore(signer, keys, scope, method, target, dict(fields), body)

    more = [(b"x-amz-content-sha256", body_hash([body]).encode())] if service == "s3" else []
    own = request(f"{method} {target}", *(f"{name}: {value}" for name, value in fields.items()), "User-Agent: app")
    lines, _ = Signer(keys, scope).sign(own, b"things.example", body_hash([body]).encode(), more, TIME.timestamp())
    found = added(lines)
    assert found["Authorization"] == expected["Authorization"]
    assert found["X-Amz-Date"] == expected["X-Amz-Date"]
    assert found.get("X-Amz-Security-Token") == expected.get("X-Amz-Security-Token")


def test_a_name_that_comes_several_times_is_signed_with_all_values_in_their_order() -> None:
    signer = Signer(SUITE, Scope("service", "us-east-1"))
    several = request("GET /", "X-Amz-Meta: b  1", "Accept: x", "x-amz-meta: a")
    joined = request("GET /", "X-Amz-Meta: b 1,a")
    one, other = (signer.sign(each, b"h", EMPTY_BODY, [], SUITE_TIME)[0] for each in (several, joined))
    assert one == other
    assert b"SignedHeaders=host;x-amz-date;x-amz-meta," in one


def test_a_signature_changes_with_each_part_of_the_request_that_is_signed() -> None:
    signer = Signer(SUITE, Scope("service", "us-east-1"))
    found = [
        signature(signer.sign(made, host, digest, [], now)[0])
        for made, host, digest, now in [
            (request("GET /"), b"h", EMPTY_BODY, SUITE_TIME),
            (request("PUT /"), b"h", EMPTY_BODY, SUITE_TIME),
            (request("GET /a"), b"h", EMPTY_BODY, SUITE_TIME),
            (request("GET /?a"), b"h", EMPTY_BODY, SUITE_TIME),
            (request("GET /", "Content-Type: a/b"), b"h", EMPTY_BODY, SUITE_TIME),
            (request("GET /"), b"other", EMPTY_BODY, SUITE_TIME),
            (request("GET /"), b"h", UNSIGNED, SUITE_TIME),
            (request("GET /"), b"h", EMPTY_BODY, SUITE_TIME + 1),
            (request("GET /"), b"h", EMPTY_BODY, SUITE_TIME + 86400),
        ]
    ]
    assert len(set(found)) == len(found)


def test_a_plus_in_a_query_is_a_blank_as_services_read_it() -> None:
    signer = Signer(SUITE, Scope("s3", "us-east-1"))
    one, other = (
        signer.sign(request(f"GET /?prefix={text}"), b"h", EMPTY_BODY, [], SUITE_TIME)[0] for text in ("a+b", "a%20b")
    )
    assert one == other


def test_a_request_of_http2_has_the_same_fields_and_no_hop_may_index_them() -> None:
    keys = AwsKeys("AKID", "secret", "session+/=")
    own = request("GET /a?b=1", "X-Amz-Meta-A: b", "Accept: */*")
    lines, _ = Signer(keys, Scope("s3", "us-east-1")).sign(own, b"h", EMPTY_BODY, [], SUITE_TIME)
    decoder = hpack.Decoder()
    found = decoder.decode(own.block(b"https", b"h", lines), raw=True)
    fields = {name: value for name, value in found if not name.startswith(b":")}
    assert {name: fields[name.lower().encode()] for name in added(lines)} == {
        name: value.encode() for name, value in added(lines).items()
    }
    assert fields[b"x-amz-meta-a"] == b"b"
    secrets = [field for field in found if field[0] in (b"authorization", b"x-amz-security-token")]
    assert [type(field) for field in secrets] == [hpack.NeverIndexedHeaderTuple] * 2


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 50))
def test_chunks_have_the_announced_length_and_the_body_however_it_is_cut(pieces: list[bytes], chunk: int) -> None:
    seed = Seed(b"key", b"20130524T000000Z", b"scope", b"0" * 64)
    signer, whole = ChunkSigner(seed, chunk), ChunkSigner(seed, chunk)
    sent = b"".join(b"".join(signer.encode([piece], done=False)) for piece in pieces)
    sent += b"".join(signer.encode([], done=True))
    body = b"".join(pieces)
    assert sent == b"".join(whole.encode([body], done=True))
    decoded, rest = b"", sent
    while True:
        head, _, rest = rest.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        decoded, rest = decoded + rest[:size], rest[size + 2 :]
        if not size:
            break
    assert (decoded, rest) == (body, b"")
