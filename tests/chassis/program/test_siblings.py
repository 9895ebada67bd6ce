"""Two real sidecars of one Pod, and what the one says of the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.support import Program, free_port, get, wait_until


@pytest.fixture
def pod(start: Start, tmp_path: Path) -> tuple[int, int, Program]:
    """Start an adapter and a logshipper, and return their admin ports and the logshipper."""
    adapter, logshipper = free_port(), free_port()
    siblings = f"logshipper={logshipper},adapter={adapter},ambassador={free_port()}"
    start(
        "adapter",
        ADAPTER_LISTEN="127.0.0.1:0",
        ADAPTER_ADMIN_LISTEN=f":{adapter}",
        ADAPTER_ADMIN_SIBLINGS=siblings,
    ).wait_ready(adapter)
    shipper = start(
        "logshipper",
        LOGSHIPPER_PATHS=f"{tmp_path}/*.log",
        LOGSHIPPER_SINK="stdout:",
        LOGSHIPPER_STATE_DIR=str(tmp_path),
        LOGSHIPPER_ADMIN_LISTEN=f"127.0.0.1:{logshipper}",
        LOGSHIPPER_ADMIN_SIBLINGS="off",
    )
    shipper.wait_ready(logshipper)
    return adapter, logshipper, shipper


def test_a_sidecar_says_how_the_others_of_its_pod_are(pod: tuple[int, int, Program]) -> None:
    adapter, logshipper, shipper = pod

    def lines() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = get(f"http://127.0.0.1:{adapter}/siblings").json()["siblings"]
        return found

    shown = {line["name"]: line for line in lines()}
    assert list(shown) == ["logshipper", "ambassador"]
    assert (shown["logshipper"]["state"], shown["logshipper"]["port"]) == ("ready", logshipper)
    assert shown["logshipper"]["since_seconds"] >= 0
    assert shown["ambassador"]["state"] == "not here"
    assert get(f"http://127.0.0.1:{logshipper}/siblings").json() == {"siblings": []}

    shipper.kill()
    wait_until(lambda: lines()[0]["state"] == "not here", "the logshipper is gone")


def test_a_client_that_prefers_json_gets_the_state_from_readyz(pod: tuple[int, int, Program]) -> None:
    adapter, _, _ = pod

    said = get(f"http://127.0.0.1:{adapter}/readyz", Accept="application/json")
    as_before = [get(f"http://127.0.0.1:{adapter}/readyz", Accept=accept).text for accept in ("*/*", "", "text/html")]

    assert list(said.json()) == ["name", "version", "state", "since", "since_seconds", "reasons"]
    assert (said.status_code, said.json()["name"], said.json()["state"]) == (200, "adapter", "ready")
    assert as_before == ["ready\n"] * 3
