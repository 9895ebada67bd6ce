"""Settings of sinks that do not fit together: each is one sentence at the start."""

from __future__ import annotations

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.settings import Settings

ONE = {"LOGSHIPPER_PATHS": "/logs/*.log"}
HTTP = {**ONE, "LOGSHIPPER_SINK": "https://collector", "LOGSHIPPER_SINK_HEADERS": "X-Tenant=a,authorization=b"}
KAFKA = {**ONE, "LOGSHIPPER_A_SINK": "kafka://b/a", "LOGSHIPPER_B_SINK": "kafka://b/b"}


def problems(**environ: str) -> list[str]:
    try:
        load(Settings, environ)
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("more", "other"),
    [
        ({"LOGSHIPPER_SINK_TOKEN": "t"}, "LOGSHIPPER_SINK_TOKEN"),
        ({"LOGSHIPPER_SINK_USERNAME": "u", "LOGSHIPPER_SINK_PASSWORD": "p"}, "LOGSHIPPER_SINK_USERNAME"),
        ({"LOGSHIPPER_SINK_AUTH": "gcp"}, "LOGSHIPPER_SINK_AUTH"),
    ],
)
def test_a_request_has_one_authorization(more: dict[str, str], other: str) -> None:
    (said,) = problems(**HTTP, **more)
    assert said == (
        f"LOGSHIPPER_SINK_HEADERS has Authorization, and {other} is set, too, and a request has one Authorization: "
        "keep one"
    )


def test_credentials_of_one_sink_may_replace_the_headers_of_all() -> None:
    both = {**HTTP, "LOGSHIPPER_OTHER_SINK": "https://other", "LOGSHIPPER_OTHER_SINK_TOKEN": "t"}
    both["LOGSHIPPER_FIRST_SINK"] = both.pop("LOGSHIPPER_SINK")
    assert not problems(**both)
    assert not problems(**HTTP, LOGSHIPPER_SINK_AUTH="none")


def test_two_sinks_with_one_transactional_id_would_stop_each_other() -> None:
    (said,) = problems(**KAFKA, LOGSHIPPER_SINK_TRANSACTIONAL_ID="one")
    assert said == (
        "LOGSHIPPER_B_SINK_TRANSACTIONAL_ID is that of another sink (LOGSHIPPER_A_SINK_TRANSACTIONAL_ID), and one "
        "would stop the other: give each its own"
    )
    assert not problems(**KAFKA, LOGSHIPPER_A_SINK_TRANSACTIONAL_ID="one", LOGSHIPPER_B_SINK_TRANSACTIONAL_ID="two")
