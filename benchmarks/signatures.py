"""What a signature of a request to AWS costs (AUTH=aws), beside botocore's signer.

`python -m benchmarks.signatures`. The signatures are those of the data path, compiled as in the images; plain Python
stands beside it. The requests: a GET with a plain path and no query, a POST of 1 KiB with three fields, a GET to S3
with a query, and a chunk of 64 KiB of a body that streams. Each figure is the best of ROUNDS, so that a busy machine
affects it little.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.ambassador_peers import Form, compiled, plain
from benchmarks.figures import Comparison, Figure, conclude
from sidecars.ambassador.http.request_head import Http1Request, RequestParser
from sidecars.ambassador.proxy.identity.chunk_signatures import CHUNK, ChunkSigner
from sidecars.ambassador.proxy.identity.request_signature import EMPTY_BODY, Seed, Signer
from sidecars.chassis.identity.aws_signature import AwsKeys, Scope
from tests.support import ROOT

ROUNDS = int(os.environ.get("ROUNDS", "7"))
COUNT = 2000  # signatures in each round
NOW = 1_796_018_400.0
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzE/+=EXAMPLE")
BODY = b"x" * 1024
REQUESTS = {
    "GET, a plain path": ("execute-api", "GET /prod/orders/7 HTTP/1.1\r\nHost: a\r\nAccept: */*", b""),
    "POST of 1 KiB": (
        "sqs",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.Send",
        BODY,
    ),
    "GET to S3, a query": ("s3", "GET /?list-type=2&prefix=a%2Fb&max-keys=100 HTTP/1.1\r\nHost: a", b""),
}
CHUNKS = "a chunk of 64 KiB"


def best(work: Callable[[], object], count: int) -> float:
    """Return the microseconds of CPU for one of `count`, in the best round."""
    times = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(count):
            work()
        times.append(time.process_time() - before)
    return min(times) / count * 1e6


def parsed(head: str) -> Http1Request:
    return RequestParser(()).parse(head.encode(), len(head))


def ours(service: str, head: str, body: bytes) -> float:
    signer, request = Signer(KEYS, Scope(service, "eu-central-1")), parsed(head)

    def sign() -> None:
        digest = hashlib.sha256(body).hexdigest().encode() if body else EMPTY_BODY
        more = [(b"x-amz-content-sha256", digest)] if service == "s3" else []
        signer.sign(request, b"things.eu-central-1.amazonaws.com", digest, more, NOW)

    return best(sign, COUNT)


def theirs(service: str, head: str, body: bytes) -> float:
    line, *fields = head.split("\r\n")
    method, target, _ = line.split(" ")
    pairs = dict(field.split(": ", 1) for field in fields[1:])
    kind = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    credentials = Credentials(KEYS.access_key, KEYS.secret_key, KEYS.session_token)

    def sign() -> None:
        request = AWSRequest(
            method, f"https://things.eu-central-1.amazonaws.com{target}", headers=dict(pairs), data=body
        )
        kind(credentials, service, "eu-central-1").add_auth(request)

    return best(sign, COUNT // 10)


def chunk() -> float:
    signer = ChunkSigner(Seed(b"k" * 32, b"20261130T060000Z", b"20261130/eu-central-1/s3/aws4_request", b"0" * 64))
    pieces = [b"x" * CHUNK]
    return best(lambda: signer.encode(pieces, done=False), 200)


def measure() -> dict[str, float]:
    """Return what this process's form of the code takes, in microseconds."""
    return {**{name: ours(*request) for name, request in REQUESTS.items()}, CHUNKS: chunk()}


def measured(form: Form) -> dict[str, float]:
    environ = {**os.environ, "PYTHONPATH": f"{form.code}:{ROOT}", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "benchmarks.signatures", "--measure"]
    found: dict[str, float] = json.loads(
        subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE).stdout
    )
    return found


def main() -> int:
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
        return 0
    fast, slow = measured(compiled(sys.executable)), measured(plain(sys.executable))
    library = {name: theirs(*request) for name, request in REQUESTS.items()}
    figures, comparisons = [], []
    for name, value in library.items():
        note = f"{fast[name]:.1f} µs compiled, {slow[name]:.1f} plain, {value:.0f} botocore"
        figures.append(Figure(f"{name}: CPU beside botocore", fast[name] / value, 0.25, note=note))
        values = {"ambassador": fast[name], "plain Python": slow[name], "botocore": value}
        comparisons.append(Comparison(name, "µs", values))
    comparisons.append(Comparison(CHUNKS, "µs", {"ambassador": fast[CHUNKS], "plain Python": slow[CHUNKS]}))
    return conclude("signatures", figures, comparisons)


if __name__ == "__main__":
    sys.exit(main())
