"""A service of AWS as far as identity goes: it checks each signature with botocore's signer, and chunks by the rules.

It knows nothing of our signer. It computes the Authorization of what it has received, with the header fields that this
names as signed, and compares. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html has the chunks.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from typing import Any
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.ambassador.support import Peer

ACCESS, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzE/+=EXAMPLE"
CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()


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

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            line, *fields = head.decode("latin-1").split("\r\n")[:-2]
            pairs = [field.split(": ", 1) for field in fields]
            by_name: dict[str, str] = {}
            for name, value in pairs:
                by_name[name.lower()] = ",".join(filter(None, (by_name.get(name.lower()), value)))
            if by_name.get("expect"):
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = peer.exactly(int(by_name.get("content-length", 0)))
            found = Seen(line, by_name, body)
            found.problem = self._problem(found)
            self.seen.append(found)
            status = self.status or (403 if found.problem else 200)
            answer = found.problem.encode() or b"ok"
            peer.send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))

    def _problem(self, seen: Seen) -> str:
        """Return what is wrong; "" if nothing is."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), "
            r"Signature=([0-9a-f]{64})",
            seen.fields.get("authorization", ""),
        )
        if not found or found[1] != ACCESS or found[4] != self.service:
            return f"no signature: {seen.fields.get('authorization')}"
        signed = found[5].split(";")
        must = [name for name in seen.fields if name.startswith("x-amz-") or name in ("host", "content-type")]
        if missing := set(must) - set(signed):
            return f"not signed: {missing}"
        if seen.fields.get("x-amz-security-token") != self.session:
            return "another session token"
        digest = seen.fields.get("x-amz-content-sha256") or hashlib.sha256(seen.body).hexdigest()
        if len(digest) == len(EMPTY) and digest != hashlib.sha256(seen.body).hexdigest():
            return "the hash is not that of the body"
        if self._expected(seen, found[3], signed, digest) != seen.fields["authorization"]:
            return "the signature is another one"
        return self._unchunked(seen, found[6], found[3]) if digest == CHUNKS else ""

    def _expected(self, seen: Seen, region: str, signed: list[str], digest: str) -> str:
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
            signer(Credentials(ACCESS, SECRET, self.session), self.service, region).add_auth(made)
        return str(made.headers["Authorization"])

    def _unchunked(self, seen: Seen, seed: str, region: str) -> str:
        """Check the chunks of the body, and let it be what they contain."""
        date = seen.fields["x-amz-date"]
        scope = f"{date[:8]}/{region}/{self.service}/aws4_request"
        key = f"AWS4{SECRET}".encode()
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
