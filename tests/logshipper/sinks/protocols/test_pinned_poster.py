"""A poster with a connection of its own has the credentials of its sink, and leaves them to the sink at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from sidecars.chassis.config.settings import load
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.http_client import Headers
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster
from tests.logshipper.support import Receiver


class Signature:
    """A signer that notes how often it was closed, and the order of what it was asked for.

    It asserts nothing itself: the test does, once all connections are closed.
    """

    def __init__(self) -> None:
        self.closed = 0
        self.seen: list[tuple[str, int]] = []  # what it was asked for, with how often it was closed, or the status

    async def fields(
        self, _method: str, _authority: str, _target: str, _headers: Headers, _blocks: Sequence[bytes]
    ) -> Headers:
        self.seen.append(("fields", self.closed))
        return [("X-Signature", "ours")]

    def responded(self, response: ClientResponse, _sent_at: float) -> None:
        self.seen.append(("responded", response.status))

    def close(self) -> None:
        self.closed += 1


async def test_the_credentials_outlive_a_pinned_connection(receiver: Receiver) -> None:
    environ = {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": receiver.url, "LOGSHIPPER_SINK_TOKEN": "t0ken"}
    signature = Signature()
    poster = HttpPoster(load(Settings, environ).sinks["default"], token_scheme="Splunk", signer=signature)
    poster.open()
    statuses, closed = [], []
    with contextlib.closing(poster):
        for _ in range(2):
            with contextlib.closing(poster.pinned()) as pinned:
                statuses.append((await pinned.post("/logs", [("Idempotency-Key", "1")], [b"x"])).status)
            closed.append(signature.closed)
    assert statuses == [204, 204]
    assert signature.seen == [("fields", 0), ("responded", 204)] * 2
    assert (closed, signature.closed) == ([0, 0], 1)
    assert {(seen["authorization"], seen["x-signature"]) for seen in map(_lower, receiver.requests)} == {
        ("Splunk t0ken", "ours")
    }


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
