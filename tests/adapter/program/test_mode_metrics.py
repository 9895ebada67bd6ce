"""The adapter as a process in the mode metrics: health documents and JSON as metrics."""

from __future__ import annotations

import json

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.adapter.conftest import StartAdapter
from tests.adapter.documents import SPRING
from tests.adapter.support import JSON, App, respond, samples


def test_metrics_are_told_from_springs_health_also_with_503(adapter: StartAdapter) -> None:
    behaviour = respond(json.dumps(SPRING).encode(), "503 Service Unavailable", JSON)
    with App({"/actuator/health": behaviour}) as app:
        running = adapter(app.url, "/metrics=/actuator/health", ADAPTER_MODE="metrics")
        response = running.get("/metrics")
        openmetrics = running.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")

        assert b"application/json" in app.heads[0]
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    found = samples(response.text)
    assert found["health_up", ()] == 0
    assert found["health_check_up", (("check", "db/users"),)] == 0
    assert found["health_check_value", (("check", "diskSpace"), ("name", "free"))] == 91300069376
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = parse_openmetrics(openmetrics.text)  # type: ignore[no-untyped-call] # it has no types
    assert {family.name for family in parsed} >= {"health_up", "health_check_up"}


def test_numbers_are_selected_from_json_of_any_kind(adapter: StartAdapter) -> None:
    with App({"/info": respond(b'{"queue": {"depth": 7, "state": "UP"}}', headers=JSON)}) as app:
        running = adapter(
            app.url,
            "/metrics=/info,/health=/info",
            ADAPTER_MODE="metrics,/health=verdict",
            ADAPTER_SELECT="queue_depth=$.queue.depth; queue_up=$.queue.state",
            ADAPTER_RULES="queue: queue_depth < 5",
        )
        found = samples(running.get("/metrics").text)

        assert running.get("/health").status_code == 503
    assert found["queue_depth", ()] == 7
    assert found["queue_up", ()] == 1
