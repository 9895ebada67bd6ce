"""The real program with an endpoint that hangs, and hedges."""

from __future__ import annotations

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import Session, serving
from tests.ambassador.http2.raw_server import answering as answering_calls
from tests.ambassador.support import GET, Ambassador, answering, backends, hanging, joined
from tests.conftest import Start
from tests.support import wait_until

HEDGES = "ambassador_upstream_hedges_total"
# HEDGE_AFTER is long beside the time that a connection takes on a busy machine: without one there is no hedge.


def test_an_endpoint_that_hangs_costs_the_app_no_more_than_the_time_of_the_hedge(start: Start) -> None:
    with backends(hanging, answering(b"ok")) as running:
        ambassador = Ambassador(
            start, joined(running), HEDGE_AFTER="500ms", BALANCE="round_robin", ACCESS_LOG="all", TIMEOUT="20s"
        )
        with ambassador.connect() as app:
            for _ in range(10):
                app.send(GET)
                assert app.response()[2] == b"ok"
        won = ambassador.metric(HEDGES, outcome="won")
        assert won >= 1  # 5, unless the other endpoint was late, too, and had a hedge, which took a turn
        assert ambassador.metric("ambassador_endpoint_failures_total") == 0
        assert ambassador.metric("ambassador_upstream_retries_total") == 0
        assert {endpoint["condition"] for endpoint in ambassador.endpoints()} == {"serving"}
        wait_until(lambda: ambassador.endpoint(running[0])["connections"] == 0, "the end of the losers")
        lines = [line for line in ambassador.program.logs if line["msg"] == "request"]
        assert [line.get("hedge", "none") for line in lines].count("won") == won
        assert {(line["status"], line["endpoint"]) for line in lines} == {(200, f"127.0.0.1:{running[1].port}")}


def test_a_call_of_an_idempotent_method_is_hedged_and_the_loser_is_reset(start: Start) -> None:
    def silent(session: Session) -> None:
        while session.request():
            pass

    with serving(silent) as hung, serving(answering_calls) as server:
        ambassador = Ambassador(
            start,
            f"{hung.url},{server.url}",
            HEDGE_AFTER="500ms",
            BALANCE="round_robin",
            GRPC_IDEMPOTENT="/shop.v1.Orders/Get",
        )
        with raw.Connection.to(ambassador.port) as app:
            for stream in (1, 3, 5, 7):
                head = raw.headers(stream, raw.call(b"/shop.v1.Orders/Get"), raw.END_HEADERS)
                app.send(head, raw.data(stream, raw.message(b"order"), raw.END_STREAM))
                got = app.message(stream)
                assert got is not None
                assert got.grpc_status == 0
        wait_until(lambda: ambassador.metric(HEDGES, outcome="won") >= 1, "a hedge")  # two on a machine with time
        (session,) = hung.sessions
        wait_until(lambda: session.resets == dict.fromkeys(session.heads, raw.CANCEL), "RST_STREAM")
        (session,) = server.sessions
        previous = [dict(head).get(b"grpc-previous-rpc-attempts") for head in session.heads.values()]
        assert len(previous) == 4
        assert previous.count(b"1") == ambassador.metric(HEDGES, outcome="won")
        assert ambassador.metric("ambassador_endpoint_failures_total") == 0


def test_a_call_of_another_method_is_never_hedged(start: Start) -> None:
    """It could run twice. The deadline is long enough for a hedge."""

    def silent(session: Session) -> None:
        while session.request():
            pass

    with serving(silent) as hung, serving(answering_calls) as server:
        settings = {"HEDGE_AFTER": "20ms", "BALANCE": "round_robin", "GRPC_IDEMPOTENT": "/shop.v1.Orders/Get"}
        ambassador = Ambassador(start, f"{hung.url},{server.url}", **settings)
        statuses = []
        with raw.Connection.to(ambassador.port) as app:
            for stream in (1, 3):
                head = raw.headers(stream, raw.call(b"/shop.v1.Orders/Put", (b"grpc-timeout", b"2S")), raw.END_HEADERS)
                app.send(head, raw.data(stream, raw.message(b"order"), raw.END_STREAM))
                got = app.message(stream)
                assert got is not None
                statuses.append(got.grpc_status)
        assert sorted(map(str, statuses)) == ["0", "4"]
        assert [len(session.heads) for each in (hung, server) for session in each.sessions] == [1, 1]
