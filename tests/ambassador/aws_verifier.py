"""A service of AWS as far as identity goes: it checks each signature with botocore's signer, and chunks by the rules.

It knows nothing of our signer. It computes the Authorization of what it has received, with the header fields that this
names as signed, and compares. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html has the chunks.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import time
from email.utils import formatdate
from typing import Any, NamedTuple
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.ambassador.support import Peer

ACCESS, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzE/+=EXAMPLE"
CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()


class Keys(NamedTuple):
    """What the service knows of an access key. `ends`: seconds since 1970."""

    secret: str
    session: str | None = None
    ends: float = float("inf")


class Seen:
    """One request: its first line, its fields by their names in lower case, and its body as the service stores it."""

    def __init__(self, line: str, fields: dict[str, str], body: bytes) -> None:
        self.line, self.fields, self.body = line, fields, body
        self.problem = ""


class Verifier:
    """The handler of a `Backend`. It answers 200 to a right signature, and 403 with the reason to a wrong one."""

    def __init__(self, service: str, session: str | None = None) -> None:
        self.service, self.session = service, session
        self.seen: list[Seen] = []
        self.status = 0  # to answer instead, whatever the signature is
        self.keys: dict[str, Keys] | None = None  # by access key; None: ACCESS alone
        self.ahead = 0.0  # seconds of its clock
        self.says_ahead: float | None = None  # of its Date, if that is another one
        self.tolerance = 300.0  # seconds that the time of a signature may be off

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            line, *fields = head.decode("latin-1").split("\r\n")[:-2]
            pairs = [field.split(": ", 1) for field in fields]
            by_name: dict[str, str] = {}
            for name, value in pairs:
                by_name[name.lower()] = ",".join(filter(None, (by_name.get(name.lower()), value)))
            if by_name.get("expect"):
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            status, date, answer = self.answer(Seen(line, by_name, peer.exactly(int(by_name.get("content-length", 0)))))
            reply = f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {len(answer)}\r\n\r\n"
            peer.send(reply.encode() + answer)

    def answer(self, seen: Seen) -> tuple[int, str, bytes]:
        """Judge a request. Return the status, the Date and the body of the answer."""
        seen.problem = self._problem(seen)
        self.seen.append(seen)
        ahead = self.ahead if self.says_ahead is None else self.says_ahead
        status = self.status or (403 if seen.problem else 200)
        return status, formatdate(time.time() + ahead, usegmt=True), seen.problem.encode() or b"ok"

    def _problem(self, seen: Seen) -> str:
        """Return what is wrong; "" if nothing is."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), "
            r"Signature=([0-9a-f]{64})",
            seen.fields.get("authorization", ""),
        )
        known = {ACCESS: Keys(SECRET, self.session)} if self.keys is None else self.keys
        if not found or found[1] not in known or found[4] != self.service:
            return f"no signature: {seen.fields.get('authorization')}"
        keys = known[found[1]]
        if problem := self._problem_of_keys(seen, keys):
            return problem
        signed = found[5].split(";")
        must = [name for name in seen.fields if name.startswith("x-amz-") or name in ("host", "content-type")]
        if missing := set(must) - set(signed):
            return f"not signed: {missing}"
        digest = seen.fields.get("x-amz-content-sha256") or hashlib.sha256(seen.body).hexdigest()
        if len(digest) == len(EMPTY) and digest != hashlib.sha256(seen.body).hexdigest():
            return "the hash is not that of the body"
        if self._expected(seen, found[1], keys, found[3], signed, digest) != seen.fields["authorization"]:
            return "the signature is another one"
        return self._unchunked(seen, found[6], keys.secret, found[3]) if digest == CHUNKS else ""

    def _problem_of_keys(self, seen: Seen, keys: Keys) -> str:
        if abs(_seconds(seen.fields["x-amz-date"]) - time.time() - self.ahead) > self.tolerance:
            return "RequestTimeTooSkewed"
        if seen.fields.get("x-amz-security-token") != keys.session:
            return "another session token"
        return "ExpiredToken" if keys.ends < time.time() else ""

    def _expected(self, seen: Seen, access: str, keys: Keys, region: str, signed: list[str], digest: str) -> str:
        """Return the Authorization that botocore computes."""
        method, target, _ = seen.line.split(" ")
        ours = ("x-amz-date", "x-amz-security-token", "host")
        fields = {name: seen.fields[name] for name in signed if name not in ours}
        made = AWSRequest(method, f"https://{seen.fields['host']}{target}", headers=fields, data=seen.body)
        signer: Any = auth.S3SigV4Auth if self.service == "s3" else auth.SigV4Auth
        at = dt.datetime.strptime(seen.fields["x-amz-date"], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007 - botocore wants it so
        with (
            mock.patch.object(auth, "get_current_datetime", return_value=at),
            mock.patch.object(signer, "payload", return_value=digest),
        ):
            signer(Credentials(access, keys.secret, keys.session), self.service, region).add_auth(made)
        return str(made.headers["Authorization"])

    def _unchunked(self, seen: Seen, seed: str, secret: str, region: str) -> str:
        """Check the chunks of the body, and let it be what they contain."""
        date = seen.fields["x-amz-date"]
        scope = f"{date[:8]}/{region}/{self.service}/aws4_request"
        key = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        body, rest, previous = b"", seen.body, seed
        while True:
            head, _, rest = rest.partition(b"\r\n")
            size, _, given = head.decode().partition(";chunk-signature=")
            data, end, rest = rest[: int(size, 16)], rest[int(size, 16) :][:2], rest[int(size, 16) + 2 :]
            hashed = hashlib.sha256(data).hexdigest()
            text = f"AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{EMPTY}\n{hashed}"
            previous = hmac.digest(key, text.encode(), "sha256").hex()
            if previous != given or end != b"\r\n":
                return "the signature of a chunk is another one"
            body += data
            if not data:
                break
        seen.body = body
        if seen.fields["content-encoding"].split(",")[0] != "aws-chunked" or rest:
            return "not only aws-chunked"
        return "" if int(seen.fields["x-amz-decoded-content-length"]) == len(body) else "another length"


def _seconds(date: str) -> float:
    return dt.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC).timestamp()
