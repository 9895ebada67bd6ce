"""The connection of a health check."""

from __future__ import annotations

from sidecars.ambassador.upstream.health_checks import _Probe


async def test_the_connection_of_a_check_that_timed_out_ends_without_an_error() -> None:
    """The time-out cancels the wait for the outcome. An error in `connection_lost` would be logged as a defect."""
    probe = _Probe(b"GET / HTTP/1.1\r\n\r\n")
    probe.outcome.cancel()

    probe.connection_lost(None)


async def test_a_connection_that_ends_without_a_response_is_an_outcome_that_nobody_must_wait_for() -> None:
    probe = _Probe(b"GET / HTTP/1.1\r\n\r\n")

    probe.connection_lost(None)

    assert "closed before a response came" in str(probe.outcome.exception())
