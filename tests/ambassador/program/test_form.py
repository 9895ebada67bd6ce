"""`/status` of the running program names the form of the data path."""

from __future__ import annotations

from sidecars.ambassador.status import upstream_status
from tests.ambassador.support import Ambassador, answering, backends
from tests.conftest import Start
from tests.support import get


def test_status_tells_which_form_runs(start: Start) -> None:
    with backends(answering()) as (backend,):
        for workers in ("1", "2"):
            ambassador = Ambassador(start, backend.url, WORKERS=workers)
            page = get(f"http://127.0.0.1:{ambassador.admin}/status").json()
            assert page["form"] == upstream_status.form()
            ambassador.program.stop()
