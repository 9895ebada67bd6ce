"""The `/metrics` of a real Prometheus, parsed here and by prometheus-client: the same samples."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as text_families

from sidecars.adapter.exposition.parser import parse_page
from tests.adapter.parser_oracle import client_samples, own_samples
from tests.adapter.prometheus import prometheus


def test_what_a_real_program_in_go_writes_is_read_alike(tmp_path: Path) -> None:
    with prometheus(tmp_path, {1_700_000_000.0: [("up", 1.0)]}) as server:
        response = server.client.get("/metrics")

    seen = own_samples(parse_page(response.content, response.headers["Content-Type"], 1000), text=True)
    assert len(seen) > 200
    assert seen == client_samples(text_families(response.text), text=True)
