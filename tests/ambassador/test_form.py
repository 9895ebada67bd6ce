"""The two forms of the data path: plain Python, and compiled as in the images. All other tests are run in both."""

from __future__ import annotations

import os

import httpx

from sidecars.ambassador import status
from tests.ambassador.support import Ambassador, answering, backends
from tests.conftest import Start


def test_the_form_that_was_asked_for_is_the_one_under_test() -> None:
    assert status.form() == os.environ.get("FORM", "plain")


def test_status_tells_which_form_runs(start: Start) -> None:
    with backends(answering()) as (backend,):
        for workers in ("1", "2"):
            ambassador = Ambassador(start, backend.url, WORKERS=workers)
            page = httpx.get(f"http://127.0.0.1:{ambassador.admin}/status", trust_env=False).json()
            assert page["form"] == status.form()
            ambassador.program.stop()
