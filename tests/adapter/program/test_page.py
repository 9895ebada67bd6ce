"""The page of a real adapter: rules, components and answers as people see them."""

from __future__ import annotations

from pathlib import Path

from sidecars.adapter.picture import PICTURE
from tests.adapter.conftest import StartAdapter
from tests.adapter.support import JSON, RULES, App, page, respond
from tests.picture_paths import empty_cells, page_of


def test_the_page_shows_rules_with_their_values_and_the_apps_answer(adapter: StartAdapter, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text(RULES)
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES_FILE=str(tmp_path / "rules"))
        running.get("/health", Accept="application/health+json")
        app.behaviours["/metrics"] = respond(b"up 0\nup 1\ndepth 12\n")  # a fault: `up` is there twice
        running.get("/health")
        assert empty_cells(PICTURE, running.status()) == {"Apps: Errors"}
    running.get("/health")  # the app is gone
    (request,) = running.status()["requests"]
    shown = page_of(running.admin)
    assert request["answer"]["words"] in shown
    assert "queue" in shown
    assert request["verdict"]["hysteresis"] in shown


def test_the_page_shows_components_of_a_health_document_and_their_names_as_text(adapter: StartAdapter) -> None:
    body = b'{"status": "UP", "components": {"<script>db": {"status": "DOWN"}}}'
    with App({"/metrics": respond(body, "200 OK", JSON)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict")
        running.get("/health")
    shown = page_of(running.admin)
    assert "&lt;script&gt;db" in shown
    assert "<script>db" not in shown
