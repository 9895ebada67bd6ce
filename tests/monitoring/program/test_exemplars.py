"""A real Prometheus stores the exemplars of a real ambassador."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from tests.adapter.prometheus import serving
from tests.ambassador.collector import Collector
from tests.ambassador.support import Ambassador, answering, backends
from tests.conftest import Start
from tests.support import wait_until


def test_prometheus_finds_the_trace_of_a_bucket(start: Start, tmp_path: Path) -> None:
    with Collector() as collector, backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, TRACES="on", TRACES_ENDPOINT=collector.url, TRACES_RATIO="100%")
        assert ambassador.ask()[0] == 200
        trace = collector.wait_for(2)[0].trace_id.hex()
        job = {"job_name": "sidecars", "static_configs": [{"targets": [f"127.0.0.1:{ambassador.admin}"]}]}
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        with serving(tmp_path, tmp_path / "data", "--enable-feature=exemplar-storage") as prometheus:

            def found() -> list[dict[str, Any]]:
                now = time.time()
                query: dict[str, str | float] = {
                    "query": "ambassador_request_duration_seconds_bucket",
                    "start": now - 600,
                    "end": now,
                }
                series = prometheus.client.get("/api/v1/query_exemplars", params=query).json()["data"]
                return [exemplar["labels"] for one in series for exemplar in one["exemplars"]]

            assert wait_until(found, "an exemplar") == [{"trace_id": trace}]
