"""`make up` and `make down`: the first minute of a reader, typed as in the README."""

from __future__ import annotations

import re
import uuid

import httpx
import pytest

from tests.images.support import docker, run

pytestmark = pytest.mark.engine


def test_make_up_names_a_page_that_answers_and_make_down_leaves_nothing() -> None:
    project = f"sidecars-test-{uuid.uuid4().hex[:8]}"
    ports = dict.fromkeys(["APP_PORT", "HEALTH_PORT", "LOGSHIPPER_ADMIN", "AMBASSADOR_ADMIN", "ADAPTER_ADMIN"], "0")
    environ = {**ports, "COMPOSE_PROJECT_NAME": project}
    try:
        told = run("make", "up", environ=environ).stdout
        pages = re.findall(r"^ +(http://localhost:\d+/\S+)", told, re.MULTILINE)
        assert len(pages) == 2
        for page in pages:
            assert httpx.get(page, trust_env=False, timeout=60).status_code == 200
        assert "a few minutes, once" not in told, "the engine has the images"
    finally:
        run("make", "down", environ=environ)
    assert docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}") == ""
