"""Endpoints in `/metrics` and `/status` of the real program."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.ambassador.support import Ambassador, answering, backends, joined, with_status
from tests.conftest import Start
from tests.support import get, wait_until


def test_every_endpoint_has_its_latencies_pool_and_health(start: Start) -> None:
    with backends(answering(), with_status(b"503 Busy")) as (good, bad):
        ambassador = Ambassador(start, joined([good, bad]), BALANCE="round_robin", EJECT_FOR="1h")
        for _ in range(20):
            assert ambassador.ask()[0] == 200
        good_one, bad_one = {"endpoint": f"127.0.0.1:{good.port}"}, {"endpoint": f"127.0.0.1:{bad.port}"}
        metric = ambassador.metric
        assert metric("ambassador_endpoint_requests_total", **good_one) == 20
        assert metric("ambassador_endpoint_requests_total", **bad_one) == 5
        assert metric("ambassador_endpoint_failures_total", **bad_one) == 5
        assert metric("ambassador_endpoint_retries_total", **good_one) == 5
        assert metric("ambassador_endpoint_response_seconds_count", **good_one) == 20
        assert metric("ambassador_endpoint_response_seconds_bucket", le="+Inf", **bad_one) == 5
        assert metric("ambassador_endpoint_ejections_total", **bad_one) == 1
        assert metric("ambassador_endpoint_ejected", **bad_one) == 1
        assert metric("ambassador_endpoint_ejected", **good_one) == 0
        assert metric("ambassador_endpoint_connections_idle", **good_one) == 1
        assert metric("ambassador_endpoint_weight", **good_one) == 1
        assert metric("ambassador_endpoint_healthy", **good_one) == 1
        assert metric("ambassador_endpoint_cost_seconds", **bad_one) > metric(
            "ambassador_endpoint_cost_seconds", **good_one
        )
        assert metric("ambassador_upstream_ejections_total") == 1
        assert metric("ambassador_upstream_panic") == 0
        page = ambassador.endpoints()
        assert [each["state"] for each in page] == ["ready", "ejected"]
        ejected = ambassador.program.logged("an endpoint is ejected")
        assert ejected is not None
        assert ejected["reason"] == "it responded with 503"


def test_the_metrics_are_well_formed_and_an_address_that_stands_twice_is_one_endpoint(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, f"{backend.url},http://localhost:{backend.port}")
        address = f"127.0.0.1:{backend.port}"
        wait_until(lambda: ambassador.metric("ambassador_endpoint_weight", endpoint=address) == 2, "both targets")
        for _ in range(6):
            assert ambassador.ask()[0] == 200
        assert ambassador.metric("ambassador_endpoint_requests_total", endpoint=address) <= 6
        text = get(f"http://127.0.0.1:{ambassador.admin}/metrics").text
        seen = [
            (sample.name, *sorted(sample.labels.items()))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        assert len(seen) == len(set(seen))
