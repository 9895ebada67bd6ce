"""A poster with a connection of its own has the credentials of its sink, and leaves them to the sink at its end."""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.chassis.config.settings import load
from sidecars.chassis.http.client import ClientResponse
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.protocols.http_client import Headers
from sidecars.logshipper.sinks.protocols.http_post import HttpPoster
from tests.logshipper.support import Receiver


class Signature:
    """A signer that notes how often it was closed."""

    closed = 0

    async def fields(
        self, _method: str, _authority: str, _target: str, _headers: Headers, _blocks: Sequence[bytes]
    ) -> Headers:
        assert self.closed == 0
        return [("X-Signature", "ours")]

    def responded(self, response: ClientResponse, _sent_at: float) -> None:
        assert response.status == 204

    def close(self) -> None:
        self.closed += 1


async def test_the_credentials_outlive_a_pinned_connection(receiver: Receiver) -> None:
    environ = {"LOGSHIPPER_PATHS": "/logs/*.log", "LOGSHIPPER_SINK": receiver.url, "LOGSHIPPER_SINK_TOKEN": "t0ken"}
    signature = Signature()
    poster = HttpPoster(load(Settings, environ).sinks["default"], token_scheme="Splunk", signer=signature)
    poster.open()
    for _ in range(2):
        pinned = poster.pinned()
        assert (await pinned.post("/logs", [("Idempotency-Key", "1")], [b"x"])).status == 204
        pinned.close()
    before = signature.closed
    poster.close()
    assert (before, signature.closed) == (0, 1)
    assert {(seen["authorization"], seen["x-signature"]) for seen in map(_lower, receiver.requests)} == {
        ("Splunk t0ken", "ours")
    }


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
