"""Series that exist before they count: `increase()` of a counter that appears with 7 is 0."""

from __future__ import annotations

import re

from sidecars.ambassador.data_path import DataPath
from sidecars.ambassador.http.local_replies import ERROR_TYPES
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.support import ROOT

OWN_STATUSES = ("499", "500", "502", "503", "504")


def page(**environ: str) -> DataPath:
    environ = {"AMBASSADOR_UPSTREAM": "http://10.0.0.1", "AMBASSADOR_LISTEN": "127.0.0.1:0", **environ}
    return DataPath(load(Settings, environ), ServiceContext(1.0))


async def test_every_error_type_is_there_before_it_happens() -> None:
    metrics = page().metrics()

    for error in ERROR_TYPES:
        assert metrics.get_sample_value("ambassador_errors_total", {"upstream": "default", "error": error}) == 0


async def test_the_statuses_of_the_ambassador_itself_are_there_before_they_happen() -> None:
    metrics = page().metrics()

    for code in OWN_STATUSES:
        assert metrics.get_sample_value("ambassador_requests_total", {"upstream": "default", "code": code}) == 0


async def test_the_limit_of_connections_stands_beside_the_number_of_open_ones() -> None:
    metrics = page(AMBASSADOR_MAX_CONNECTIONS="77").metrics()

    labels = {"upstream": "default"}
    assert metrics.get_sample_value("ambassador_downstream_connections_limit", labels) == 77
    assert metrics.get_sample_value("ambassador_downstream_connections_open", labels) == 0


def test_the_error_types_are_those_of_the_code() -> None:
    root = ROOT / "sidecars" / "ambassador"
    in_code = {
        name
        for path in root.rglob("*.py")
        for name in re.findall(r'(?:Cause|count_error)\(\s*"([a-z0-9_]+)"', path.read_text())
    }
    assert in_code == set(ERROR_TYPES)
